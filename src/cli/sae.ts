import { openSae, Sae } from "../index.ts"
import { openFolder } from "../node.ts"
import type { Context } from "./command.ts"
import { checkLayers } from "./layers.ts"
import { type NumberKind, type Options, type OptionTable } from "./options.ts"
import { openSession, type Session } from "./session.ts"
import { bytes } from "./text.ts"

/** The options that name one layer's autoencoder. */
export const saeOptions: OptionTable = {
  sae: { value: "DIR", help: "sparse autoencoders in EleutherAI's layout: layers.N/cfg.json and layers.N/sae.safetensors" },
  layer: { value: "N", help: "the 0-based layer whose autoencoder to use" },
}

const index: NumberKind = { expected: "a whole number from 0", fits: (x) => Number.isSafeInteger(x) && x >= 0 }

/** What {@link saeOptions} name. @throws InputError when one is missing */
export function saeOf(options: Options): { folder: string; layer: number } {
  const folder = options.required("sae", "name the folder of the autoencoders")
  options.required("layer", "name one of the folder's layers")
  return { folder, layer: options.number("layer", index) as number }
}

/** Opens the model and the autoencoder that the options name, and closes both after `use`. Their files are checked first. */
export async function withSae(context: Context, use: (session: Session, sae: Sae) => Promise<void>): Promise<void> {
  const { options, terminal, signal } = context
  const { folder: path, layer } = saeOf(options)
  await using folder = await openFolder(path)
  using session = await openSession(context, async (config) => {
    checkLayers([layer], config, "--layer")
    await openSae(folder, layer, config.hiddenSize)
  })
  using sae = await Sae.load(folder, layer, {
    device: session.device,
    width: session.model.config.hiddenSize,
    signal,
    onProgress: ({ done, total }) => terminal.progress(`loading the autoencoder: ${bytes(done)} of ${bytes(total)}`),
  })
  await use(session, sae)
}
