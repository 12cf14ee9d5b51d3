import type { JSX, TargetedKeyboardEvent } from "preact"
import { useState } from "preact/hooks"

interface Written {
  readonly value: string | number
  /** When it is done: with Enter, or by going elsewhere. */
  readonly onWritten: (text: string) => void
}

interface FieldProps extends Written {
  readonly "type": "text" | "number"
  readonly "name"?: string
  readonly "min"?: number
  readonly "max"?: number
  readonly "step"?: number
  readonly "maxLength"?: number
  readonly "placeholder"?: string
  readonly "aria-label"?: string
  readonly "aria-describedby"?: string
}

interface LinesProps extends Written {
  readonly name: string
  readonly rows: number
  readonly maxLength: number
  readonly required?: boolean
  readonly onKeyDown?: (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => void
}

/** A field to write in: what is being written stays while the page around it changes, as it does with every token. */
export function Field({ type, value, onWritten, ...rest }: FieldProps): JSX.Element {
  const written = { ...rest, ...useDraft(value, onWritten) }
  return type === "number" ? <input type="number" {...written} /> : <input type="text" {...written} />
}

/** The same of several lines. */
export function Lines({ value, onWritten, ...rest }: LinesProps): JSX.Element {
  return <textarea {...rest} {...useDraft(value, onWritten)} />
}

interface WrittenIn {
  readonly currentTarget: { readonly value: string }
}

function useDraft(value: string | number, onWritten: (text: string) => void) {
  const [draft, setDraft] = useState<string>()
  return {
    value: draft ?? value,
    onInput: ({ currentTarget }: WrittenIn): void => setDraft(currentTarget.value),
    onChange: ({ currentTarget }: WrittenIn): void => {
      setDraft(undefined)
      onWritten(currentTarget.value)
    },
  }
}
