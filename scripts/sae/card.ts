import type { FeatureReport, LayerReport } from "./report.ts"
import type { TrainingSettings } from "./train.ts"

export type { LayerReport } from "./report.ts"

export interface TrainingFacts {
  readonly settings: TrainingSettings
  readonly ownTexts: number
  readonly pairTexts: number
  readonly tokens: number
  readonly heldOutTexts: number
  readonly heldOutTokens: number
}

const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`

/** The card of the autoencoders, in Markdown. */
export function cardOf(facts: TrainingFacts, reports: readonly LayerReport[]): string {
  const { settings } = facts
  const layers = reports.map(({ layer }) => layer).join(" and ")
  const passes = (settings.steps * settings.batch) / facts.tokens
  return `# tiny-talk-sae

Small sparse autoencoders of the embedded model's residual stream, after layers ${layers} (counted from 0), in
EleutherAI's layout. They are here so that everything Redline does with autoencoders runs and is tested at once, without a
download.

## What they are

- TopK autoencoders: ${settings.latents} features of width 256, of which each token keeps ${settings.k}. x is about
  TopK(ReLU(encoder (x - b_dec) + bias)) W_dec + b_dec; rows of W_dec have length 1.
- \`layers.N/cfg.json\` and \`layers.N/sae.safetensors\`, F32, 2.1 MB a layer.

## Data

Residuals at ${facts.tokens} tokens: ${facts.ownTexts} texts that tiny-talk wrote itself (96 tokens at most, temperature 0.8, from
an empty prompt) and ${facts.pairTexts} texts of its files of pairs. The first token of each text is left out: its residual is the
same in all texts and several times as long as the others, so do not read anything into the features of a first token
(Redline leaves it out by default). Held out: ${facts.heldOutTexts} texts, ${facts.heldOutTokens} tokens, that tiny-talk wrote with
other seeds.

## Training

Pure TypeScript on the CPU (\`scripts/train-sae.ts\`): ${settings.steps} steps of ${settings.batch} random tokens
(${passes.toFixed(1)} passes over the data), Adam with a peak rate of ${settings.rate}, on the squared error. As in EleutherAI's
sparsify the encoder starts as the decoder's transpose, b_dec as the mean, and the decoder's rows keep length 1. In the first
60 % of the steps a feature that no token has used for 40 steps starts anew along the error of a badly described token. To
make the files and this card anew, in about ten minutes on two busy cores:

    node scripts/run.mjs scripts/train-sae.ts

## Quality

The fraction of variance unexplained (squared error over the squared distance from the mean; lower is better), of held-out
text but for the fourth column. Each is lowest at its own layer: files whose numbers were off by one would be seen.

${table(
  ["autoencoder of", "the layer before", "its layer", "its layer, text of the training", "the layer after", "dead features"],
  reports.map(({ layer, unexplained, unexplainedInTraining, dead }) => {
    const of = (at: number): string => percent(unexplained.get(at) ?? NaN)
    return [
      `layer ${layer}`,
      of(layer - 1),
      of(layer),
      percent(unexplainedInTraining),
      of(layer + 1),
      `${dead} of ${settings.latents}`,
    ]
  }),
)}

Dead are those that no token of the training's text uses.

## What some features seem to mean

Features that are strong, used at less than 5 % of the held-out tokens, and strongest at different tokens. "Strongest at"
shows the held-out tokens (bold) with the highest activations, "promotes" the tokens whose logits the feature's direction
alone raises most. Read them as hints: nobody has tested them.

${reports.map(({ layer, features }) => `### Layer ${layer}\n\n${featureTable(features)}`).join("\n\n")}

## Limits

They were trained on little text of a tiny model and know nothing beyond it. They are for trying things out, not for findings.

## Licence

Same licence as the project.
`
}

function featureTable(features: readonly FeatureReport[]): string {
  return table(
    ["feature", "used at", "strongest at", "promotes"],
    features.map(({ feature, share, contexts, promotes }) => {
      return [`${feature}`, percent(share), contexts.map(cell).join(" · "), promotes.map(cell).join(", ")]
    }),
  )
}

const cell = (text: string): string => text.replace(/\s+/g, " ").replace(/\|/g, "\\|")

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n")
}
