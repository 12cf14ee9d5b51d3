// Makes a checkpoint of about 1.1 GB as sparse files, loads it and prints the peak memory of the process: node scripts/run.mjs
// test/helpers/load-large.ts. On a software adapter the GPU's memory is the process's own, so what buffers hold is given too.
import { mkdtemp, open, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseConfig } from "../../src/engine/config.ts"
import { expectedTensors } from "../../src/engine/checkpoint.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { loadModel } from "../../src/node/model.ts"

const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 64_000,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 6,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  max_position_embeddings: 2048,
  tie_word_embeddings: false,
}

const folder = await mkdtemp(join(tmpdir(), "redline-large-"))
try {
  let offset = 0
  const header: Record<string, unknown> = {}
  for (const { name, shape } of expectedTensors(parseConfig(config, undefined, "config.json"))) {
    const bytes = shape.reduce((a, b) => a * b, 2)
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + bytes] }
    offset += bytes
  }
  const text = Buffer.from(JSON.stringify(header).padEnd(16_384, " "))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const file = await open(join(folder, "model.safetensors"), "w")
  await file.write(Buffer.concat([length, text]))
  await file.truncate(8 + text.length + offset)
  await file.close()
  await writeFile(join(folder, "config.json"), JSON.stringify(config))

  using device = await openDevice()
  const before = process.resourceUsage().maxRSS * 1024
  const start = performance.now()
  using model = await loadModel(folder, { device })
  const seconds = (performance.now() - start) / 1000
  const peak = process.resourceUsage().maxRSS * 1024
  process.stdout.write(
    JSON.stringify({
      bytes: offset,
      layers: model.config.layers,
      seconds,
      before,
      peak,
      onGpu: device.allocated,
      software: device.facts.software,
    }),
  )
} finally {
  await rm(folder, { recursive: true })
}
