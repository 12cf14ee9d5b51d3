import {
  describeMatmul,
  InputError,
  type LlamaConfig,
  type MatmulFacts,
  type MemoryPlan,
  openCheckpoint,
  planMemory,
} from "../index.ts"
import { openFolder } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { count } from "./options.ts"
import { adapterName, describeModel, deviceOf, modelName, modelPath } from "./session.ts"
import { bytes, table } from "./text.ts"

const SHOWN_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
] as const

export const info: Command = {
  name: "info",
  summary: "the adapter, its features and limits; the model's shape and what it takes of the GPU's memory",
  options: {
    rows: { value: "N", help: "rows of the batch to plan for, such as coefficients x prompts; 32 unless told" },
    positions: { value: "N", help: "tokens of a row, prompt and completion; 64 unless told" },
  },
  notes: [
    "No weight is read: the plan is known before loading.",
    "JSON: { adapter, features, limits, matmul: { mode, reason, unit, without }, model, warnings, memory: { rows, positions, weights, cache, workspace, total } }, memory in bytes.",
  ],
  examples: ["redline info", "redline info --model DIR --rows 64 --positions 128"],
  run,
}

async function run({ options, terminal }: Context): Promise<void> {
  const rows = options.number("rows", count) ?? 32
  const positions = options.number("positions", count) ?? 64
  await using folder = await openFolder(modelPath(options))
  const checkpoint = await openCheckpoint(folder)
  const { config, warnings } = checkpoint
  if (positions > config.maxPositions) {
    const expected = `at most ${config.maxPositions}, the context of ${modelName(options)}`
    throw new InputError({ where: "--positions", expected, found: `${positions}`, todo: "plan for fewer" })
  }
  using device = await deviceOf(options)
  const matmul = await describeMatmul(device)
  const plan = planMemory(checkpoint, rows, positions, device.maxBinding, matmul.mode)
  const features = [...device.gpu.features].sort()
  const { facts } = device
  if (terminal.json) {
    const { weights, cache, workspace, total } = plan
    const memory = { rows, positions, weights, cache, workspace, total }
    return terminal.document({
      adapter: facts,
      features,
      limits: limitsOf(device.gpu),
      matmul,
      model: describeModel(options, { config }),
      warnings,
      memory,
    })
  }
  const limits = SHOWN_LIMITS.map((name) => [name, `${device.gpu.limits[name]}`])
  terminal.print(
    ...table(
      [
        ["adapter", `${adapterName(facts)}${facts.software ? " (software)" : ""}`],
        ["features", features.join(", ")],
        ...limits,
        ...matmulRows(matmul),
      ],
      ["left", "left"],
    ),
    "",
    ...table([["model", modelName(options)], ...shapeRows(config)], ["left", "left"]),
    "",
    `memory for ${rows} rows of ${positions} positions`,
    ...table(planRows(plan), ["left", "right"]),
  )
  for (const warning of warnings) terminal.note(`note: ${warning}`)
}

function matmulRows({ mode, reason, unit, without }: MatmulFacts): string[][] {
  return [
    ["matrices", reason === undefined ? mode : `${mode}: ${reason}`],
    ["matrix units", unit === null ? `none: ${without ?? "unknown"}` : `${unit}, f16 to f32, tried and right`],
  ]
}

function shapeRows(config: LlamaConfig): string[][] {
  const { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize, maxPositions, tiedEmbeddings } = config
  return [
    ["layers", `${layers}`],
    ["hidden", `${hiddenSize}, feed-forward ${intermediateSize}`],
    ["heads", `${heads} of ${headDim}, ${kvHeads} for keys and values`],
    ["vocabulary", `${vocabSize}, ${tiedEmbeddings ? "head tied to the embedding" : "a head of its own"}`],
    ["context", `${maxPositions} tokens`],
  ]
}

function planRows({ weights, cache, workspace, total }: MemoryPlan): string[][] {
  return Object.entries({ weights, cache, workspace, total }).map(([name, size]) => [name, bytes(size)])
}

/** All limits by name: they are getters of the prototype, which JSON does not see. */
function limitsOf({ limits }: GPUDevice): Record<string, number> {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(limits)).filter((name) => /^m(ax|in)[A-Z]/.test(name))
  const found = [...names, ...Object.keys(limits)].map((name) => [name, limits[name as keyof GPUSupportedLimits]] as const)
  return Object.fromEntries(found.filter((entry): entry is readonly [string, number] => typeof entry[1] === "number"))
}
