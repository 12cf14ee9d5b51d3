import { encodeVector, type LlamaConfig, openSae } from "../index.ts"
import { makeFolder, openFolder, writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkLayers } from "./layers.ts"
import { checkPairs, pairsOptions, suffixOptions } from "./pairs.ts"
import { openSession } from "./session.ts"
import { describeAll, describeTrained, trainedDocument } from "./train-report.ts"
import { readTrainRequest, type TrainRequest } from "./train-request.ts"
import { trainTargets } from "./train-vectors.ts"
import { naming } from "./vectors.ts"

export const train: Command = {
  name: "train",
  summary: "make steering vectors from contrast pairs",
  operands: {
    value: "[FILE.jsonl …]",
    help: "more files of pairs, as --pairs names them: a vector of each",
    least: 0,
    most: Infinity,
  },
  options: {
    ...pairsOptions,
    ...suffixOptions,
    "method": { value: "NAME", help: "mean (the default), pca-center or pca-diff" },
    "layers": {
      value: "LAYERS",
      help: "0-based layers such as 2-5,7, all, or suggested (by the quality at all layers); the model's middle third unless told",
    },
    "out": { value: "PATH", help: "the vector's file (.safetensors or .gguf), or the folder of one for each file of pairs" },
    "format": { value: "NAME", help: "of the files in a folder: safetensors, unless told, or gguf" },
    "quality": { help: "say how good the vectors are, also of several; the pairs run a second time" },
    "no-quality": { help: "do not say how good a single vector is" },
    "sae": {
      value: "DIR",
      help: "make the vector among the features of sparse autoencoders, in EleutherAI's layout, of --layers",
    },
    "feature": { value: "N", help: "with --sae: the direction of this one feature, without pairs" },
  },
  notes: [
    "Methods, of the residual stream at the last tokens: mean is the mean difference; pca-center the direction along which the " +
      "differences are longest (repeng's method of this name), of length 1; pca-diff the first principal component of the " +
      "differences, of length 1, which discards what they have in common.",
    "--positive and --negative both go on with each of 64 neutral beginnings of sentences, which gives 64 pairs: the vector is " +
      "then of what a text still means when something follows, which takes a model that remembers it. --no-suffixes takes the two " +
      "texts as they are.",
    "Quality, by vectors of half the pairs tried on the other half: accuracy is the share of held-out texts on their side (0.5 is " +
      "chance); effect Cohen's d, how far the sides are apart in standard deviations; agreement the cosine between the two halves' " +
      "vectors; norm/residual the vector's length against the mean residual's. It takes 4 pairs.",
    "JSON: { vector: { modelHint, method, createdFrom, layers, norms }, out, quality: [{ layer, accuracy, effect, agreement, norm, " +
      "residualNorm }], suggested }, norms by layer; quality and suggested, a list of layers, are null where nobody asked. With a " +
      "folder: { vectors: [as above, …] }. Nothing is written before all vectors are made.",
  ],
  examples: [
    "redline train --pairs pairs.jsonl --layers 3-4 --out wedding.safetensors",
    'redline train --positive "I am happy" --negative "I am sad" --layers 3-4 --out happy.gguf',
    "redline train --pairs pairs/*.jsonl --method pca-center --layers suggested --out vectors/ --format gguf",
    "redline train --sae models/tiny-talk-sae --layers 3 --pairs pairs.jsonl --out wedding.safetensors",
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal } = context
  const request = await readTrainRequest(options)
  using session = await openSession(context, (config) => checkAgainst(request, config))
  for (const { source } of request.targets) checkPairs(session.model, source)
  session.announce()
  const trained = await trainTargets(request, session, context)
  const files = trained.map(({ vector, out }) => naming(out, () => ({ out, bytes: encodeVector(vector, out) })))
  if (request.folder !== undefined) await makeFolder(request.folder)
  for (const { out, bytes } of files) await writeFileAtomic(out, bytes)

  const documents = trained.map(trainedDocument)
  if (terminal.json) return terminal.document(request.folder === undefined ? documents[0] : { vectors: documents })
  if (request.folder === undefined) terminal.print(...trained.flatMap(describeTrained))
  else terminal.print(...describeAll(trained))
}

async function checkAgainst({ layers, sae }: TrainRequest, config: LlamaConfig): Promise<void> {
  if (Array.isArray(layers)) checkLayers(layers, config)
  if (!sae) return
  await using folder = await openFolder(sae.folder)
  for (const layer of sae.layers) await openSae(folder, layer, config.hiddenSize)
}
