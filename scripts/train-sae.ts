// Trains the sparse autoencoders of the embedded model and writes models/tiny-talk-sae anew, with its card:
//   node scripts/run.mjs scripts/train-sae.ts
import { join } from "node:path"
import { Sae } from "../src/engine/sae.ts"
import { encodeSafetensors, type Model } from "../src/index.ts"
import { embeddedModel, loadModel, makeFolder, openDevice, openFolder, writeFileAtomic } from "../src/node.ts"
import { cardOf, type LayerReport } from "./sae/card.ts"
import { ownTexts, pairTexts, type Residuals, residualsOf } from "./sae/data.ts"
import { type TrainedSae, type TrainingSettings, trainSae } from "./sae/train.ts"
import { reportOn } from "./sae/report.ts"

const LAYERS = [3, 4]
const SETTINGS: TrainingSettings = { latents: 1024, k: 32, steps: 1000, batch: 256, rate: 0.002, seed: 1 }
const OWN_TEXTS = 384
const HELD_OUT_TEXTS = 48
/** Row i of a batch draws with seed + i: far apart, the two sets share no seed. */
const SEEDS = { training: 1, heldOut: 100_000 }

const out = join(embeddedModel, "../tiny-talk-sae")
const started = performance.now()
const say = (text: string): void => void process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s: ${text}\n`)

using device = await openDevice()
using model = await loadModel(embeddedModel, { device })

say("generating texts")
const texts = [
  ...(await ownTexts(model, OWN_TEXTS, SEEDS.training)),
  ...(await pairTexts(model, join(embeddedModel, "pairs"), 6)),
]
const heldOut = await ownTexts(model, HELD_OUT_TEXTS, SEEDS.heldOut)
say(`running ${texts.length} texts`)
const residuals = await residualsOf(model, texts, LAYERS)
const reports: LayerReport[] = []
for (const layer of LAYERS) {
  await write(layer, train(layer, residuals))
  await using folder = await openFolder(out)
  using sae = await Sae.load(folder, layer, { device, width: model.config.hiddenSize })
  reports.push(await reportOn(model, sae, residuals.get(layer) as Float32Array, heldOut))
}
const tokens = (some: readonly (readonly number[])[]): number => some.reduce((sum, ids) => sum + ids.length - 1, 0)
const facts = {
  settings: SETTINGS,
  ownTexts: OWN_TEXTS,
  pairTexts: texts.length - OWN_TEXTS,
  tokens: tokens(texts),
  heldOutTexts: HELD_OUT_TEXTS,
  heldOutTokens: tokens(heldOut),
}
await writeFileAtomic(join(out, "README.md"), cardOf(facts, reports))
say(`wrote ${out}`)

function train(layer: number, rows: Residuals): TrainedSae {
  return trainSae(rows.get(layer) as Float32Array, widthOf(model), SETTINGS, (step, unexplained) => {
    if (step % 100 === 0)
      say(`layer ${layer}, step ${step} of ${SETTINGS.steps}: ${(100 * unexplained).toFixed(1)} % unexplained`)
  })
}

async function write(layer: number, { encoder, encoderBias, decoder, decoderBias }: TrainedSae): Promise<void> {
  const folder = join(out, `layers.${layer}`)
  const width = widthOf(model)
  const { latents, k } = SETTINGS
  const config = {
    activation: "topk",
    expansion_factor: latents / width,
    normalize_decoder: true,
    num_latents: latents,
    k,
    d_in: width,
  }
  await makeFolder(folder)
  await writeFileAtomic(join(folder, "cfg.json"), `${JSON.stringify(config)}\n`)
  const tensors = new Map([
    ["encoder.weight", { shape: [latents, width], data: encoder }],
    ["encoder.bias", { shape: [latents], data: encoderBias }],
    ["W_dec", { shape: [latents, width], data: decoder }],
    ["b_dec", { shape: [width], data: decoderBias }],
  ])
  await writeFileAtomic(join(folder, "sae.safetensors"), encodeSafetensors(tensors))
}

function widthOf({ config }: Model): number {
  return config.hiddenSize
}
