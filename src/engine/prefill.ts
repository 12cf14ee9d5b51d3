import { pad8 } from "../kernels/kernel.ts"
import type { Core } from "./core.ts"
import type { GpuBuffer } from "./device.ts"
import { drive } from "./drive.ts"
import { type Begin, forward, output, type Pass } from "./llama.ts"
import type { Prefix } from "./prefixes.ts"
import { Recorder } from "./recorder.ts"
import { cut, lastPlaces, type Piece, preparePass, type RowGroup, tokenList } from "./sequences.ts"
import { SteeringBuffers } from "./steer.ts"

/** Takes what the head needs of a pass's output. */
type Keep = (recorder: Recorder, pass: Pass, piece: Piece) => void

/**
 * Runs prompts into the cache and keeps what the head needs of each one's last token, f32 [rows, pad8(hidden)] in `lastOutput`.
 * Prompts that several rows share run once, up to the first layer where they are steered; the group's prefixes say which.
 */
export async function prefill(
  core: Core,
  group: RowGroup,
  prompts: readonly (readonly number[])[],
  prefixes: readonly Prefix[],
  lastOutput: GpuBuffer,
): Promise<void> {
  const rowBytes = pad8(core.config.hiddenSize) * 4
  let rowsDone = 0
  const keepLasts: Keep = (recorder, pass, piece) => {
    const lasts = lastPlaces(group.list, piece)
    if (lasts.length === 0) return
    const { selection, selected } = pass.workspace.buffers
    core.device.write(selection, Uint32Array.from(lasts))
    recorder.run(core.kernels.gather, [output(pass), selection, selected], { count: lasts.length })
    recorder.copy(selected, lastOutput, lasts.length * rowBytes, 0, rowsDone * rowBytes)
    rowsDone += lasts.length
  }
  if (prefixes.every(({ shared }) => shared === 0)) return runPieces(core, group, keepLasts)

  const sources = tokenList(prompts, prefixes)
  using residuals = core.device.createBuffer("shared prompts", sources.ids.length * rowBytes)
  using unsteered = SteeringBuffers.upload(core.device, core.config, [], [])
  const shared = { ...group, list: sources, steering: unsteered, depth: group.prefixes.layers }
  await runPieces(core, shared, (recorder, pass, { first, count }) => {
    recorder.copy(output(pass), residuals, count * rowBytes, 0, first * rowBytes)
  })
  const begin = { layer: group.prefixes.layers - 1, residuals }
  const placeOf = new Map(sources.rows.map((row, i) => [`${row} ${sources.positions[i]}`, i]))
  const index = group.list.rows.map(
    (row, i) => placeOf.get(`${(prefixes[row] as Prefix).source} ${group.list.positions[i]}`) as number,
  )
  await runPieces(core, group, keepLasts, { ...begin, index })
}

/** Runs a group's tokens, as many at a time as a pass takes; `begin.index` is that of all of them. */
async function runPieces(
  core: Core,
  group: RowGroup,
  keep: Keep,
  begin?: Omit<Begin, "index"> & { readonly index: readonly number[] },
): Promise<void> {
  for (const piece of cut(group.list.ids.length, core.limits.tokens)) {
    const { first, count } = piece
    using index =
      begin && core.device.upload("places of shared tokens", Uint32Array.from(begin.index.slice(first, first + count)))
    const prepared = preparePass(core, group, piece, group.members.length)
    const pass = begin && index ? { ...prepared, begin: { ...begin, index } } : prepared
    const recorder = new Recorder(core.device, `running ${count} tokens of the prompts`)
    const waiting = drive(recorder, pass, forward(recorder, pass))
    if (waiting) await waiting
    keep(recorder, pass, piece)
    recorder.submit()
    await core.device.settled()
  }
}
