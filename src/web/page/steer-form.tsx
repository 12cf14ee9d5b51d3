import type { JSX } from "preact"
import type { Catalogue, ModelChoice } from "../protocol.ts"
import { type Choices, firstChoices, modelOf, vectorOf } from "./choices.ts"
import { Field } from "./field.tsx"

export interface FormProps {
  readonly catalogue: Catalogue
  readonly choices: Choices
  readonly onChange: (news: Partial<Choices>) => void
}

/** The model, and the vector that steers it: one that is there, or trained from two prompts. */
export function SteerForm({ catalogue, choices, onChange }: FormProps): JSX.Element {
  const fitting = catalogue.vectors.filter((vector) => vector.models.includes(choices.model))
  const vector = vectorOf(choices, catalogue)
  return (
    <div class="fields">
      <label>
        Model
        <select value={choices.model} onChange={(event) => onChange(withModel(choices, event.currentTarget.value, catalogue))}>
          {catalogue.models.map((model) => (
            <option key={model.name} value={model.name}>
              {describe(model)}
            </option>
          ))}
        </select>
      </label>
      <label>
        Vector
        <select value={choices.vector} onChange={(event) => onChange({ vector: event.currentTarget.value, layers: [] })}>
          {fitting.map(({ name, topic }) => (
            <option key={name} value={name}>
              {topic ?? name}
            </option>
          ))}
          <option value="">from two prompts of mine</option>
        </select>
      </label>
      {choices.vector === "" && <Prompts {...{ catalogue, choices, onChange }} />}
      <Layers
        // What was trained from pairs or prompts has all layers of the model, a file its own.
        of={vector && vector.topic === undefined ? vector.layers : [...Array(modelOf(choices, catalogue).layers).keys()]}
        own={vector?.layers ?? []}
        chosen={choices.layers}
        onChange={(layers) => onChange({ layers })}
      />
    </div>
  )
}

function Prompts({ catalogue, choices, onChange }: FormProps): JSX.Element {
  return (
    <>
      {(["positive", "negative"] as const).map((side) => (
        <label key={side} class="wide">
          {side === "positive" ? "More like this" : "Less like this"}
          <Field
            type="text"
            name={side}
            value={choices[side]}
            maxLength={catalogue.limits.characters}
            placeholder={side === "positive" ? "I am talking about a bridge" : "I am talking about the weather"}
            onWritten={(text) => onChange({ [side]: text })}
          />
        </label>
      ))}
    </>
  )
}

interface LayersProps {
  readonly of: readonly number[]
  /** Where it steers unless told; not known of a vector that is still to be trained. */
  readonly own: readonly number[]
  readonly chosen: readonly number[]
  readonly onChange: (layers: readonly number[]) => void
}

function Layers({ of, own, chosen, onChange }: LayersProps): JSX.Element {
  const ticked = chosen.length > 0 ? chosen : own
  const toggled = (layer: number): number[] => of.filter((one) => (one === layer ? !ticked.includes(one) : ticked.includes(one)))
  return (
    <fieldset class="layers wide">
      <legend>Layers {ticked.length === 0 && <small>(none ticked: the model's own)</small>}</legend>
      {of.map((layer) => (
        <label key={layer}>
          <input
            type="checkbox"
            checked={ticked.includes(layer)}
            disabled={ticked.length === 1 && own.length > 0 && ticked.includes(layer)}
            onChange={() => onChange(toggled(layer).join() === own.join() ? [] : toggled(layer))}
          />
          {layer}
        </label>
      ))}
    </fieldset>
  )
}

/** The choices after a change of the model: what was written stays, what does not fit goes. */
export function withModel(choices: Choices, name: string, catalogue: Catalogue): Partial<Choices> {
  const [before, after] = [firstChoices(catalogue, choices.model), firstChoices(catalogue, name)]
  const fits = choices.vector === "" || vectorOf({ ...choices, model: name }, catalogue) !== undefined
  return {
    model: name,
    vector: fits ? choices.vector : after.vector,
    layers: [],
    chat: after.chat,
    ...(choices.prompt === before.prompt && { prompt: after.prompt }),
    ...(choices.prompts.join("\n") === before.prompts.join("\n") && { prompts: after.prompts }),
  }
}

const describe = ({ name, layers, hiddenSize, bytes }: ModelChoice): string =>
  `${name} (${layers} layers of ${hiddenSize}, ${bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`})`
