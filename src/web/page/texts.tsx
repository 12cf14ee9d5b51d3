import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import type { Found, Point } from "../protocol.ts"
import { shown } from "./scale.ts"
import { Tokens } from "./tokens.tsx"

export interface TextsProps {
  readonly points: readonly Point[]
  readonly prompts: readonly string[]
  readonly found: Found | undefined
  readonly coefficient: number
  readonly onChoose: (coefficient: number) => void
}

/** What the model wrote at every coefficient that has come so far. */
export function Texts({ points, prompts, found, coefficient, onChoose }: TextsProps): JSX.Element {
  const list = useRef<HTMLDivElement>(null)
  const max = found?.max ?? null
  useEffect(() => {
    const redline = list.current?.querySelector<HTMLElement>(".redline")
    if (redline && list.current) list.current.scrollTop = redline.offsetTop - list.current.clientHeight / 3
  }, [max])
  return (
    <div class="texts" ref={list} tabIndex={0} role="region" aria-label="the texts, by coefficient">
      {points.map((point) => (
        <article key={point.coefficient} class={kindOf(point.coefficient, found)}>
          <h3>
            <button
              type="button"
              class="link"
              aria-pressed={point.coefficient === coefficient}
              title="set the slider here"
              onClick={() => onChoose(point.coefficient)}
            >
              {shown(point.coefficient)}
            </button>
            {point.coefficient === max && <strong> redline</strong>}
            {point.coefficient === found?.minimum && <em> takes effect</em>}
            <small> {point.metric === null ? "no value" : shown(point.metric)}</small>
          </h3>
          {point.completions.slice(0, 1).map((completion) => (
            <Text key={0} prompt={prompts.length > 1 ? prompts[0] : undefined} {...completion} />
          ))}
          {point.completions.length > 1 && (
            <details>
              <summary>{point.completions.length - 1} more</summary>
              {point.completions.slice(1).map((completion, i) => (
                <Text key={i} prompt={prompts[i + 1]} {...completion} />
              ))}
            </details>
          )}
        </article>
      ))}
    </div>
  )
}

function Text({ prompt, ...tokens }: Point["completions"][number] & { prompt: string | undefined }): JSX.Element {
  return (
    <p>
      {prompt !== undefined && <q>{prompt}</q>} <Tokens {...tokens} />
    </p>
  )
}

function kindOf(coefficient: number, found: Found | undefined): string {
  if (coefficient === found?.max) return "redline"
  return typeof found?.crossing === "number" && coefficient >= found.crossing ? "broken" : "sound"
}
