import type { Device } from "../../src/engine/device.ts"
import { Model } from "../../src/engine/model.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { openFolder } from "../../src/node/files.ts"
import { type Checkpoint, checkpointFolder, type CheckpointOptions, makeCheckpoint } from "../reference/checkpoint.ts"
import { ReferenceLlama } from "../reference/llama.ts"
import { testDevice } from "./device.ts"
import { tinyTalkFolder } from "./fixtures.ts"

/** A random checkpoint on the GPU, and the same in float64. Dispose the model. */
export async function randomModel(
  options: CheckpointOptions,
  device?: Device,
): Promise<{ model: Model; reference: ReferenceLlama; made: Checkpoint }> {
  const made = makeCheckpoint(options)
  const model = await Model.load(checkpointFolder(made), { device: device ?? (await testDevice()) })
  return { model, reference: new ReferenceLlama(made.config, made.tensors), made }
}

let loaded: Promise<Model> | undefined

/** The embedded model, one for the whole test process, on a device as users open it (without validation). */
export function tinyTalkModel(): Promise<Model> {
  loaded ??= (async () => {
    await using folder = await openFolder(tinyTalkFolder)
    return await Model.load(folder, { device: await openDevice() })
  })()
  return loaded
}
