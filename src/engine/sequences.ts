import type { Capture } from "./capture.ts"
import { type Core, groupRows, type TokenList, tokenList } from "./core.ts"
import type { Pass } from "./llama.ts"
import { KvCache } from "./memory.ts"
import { type Steering, SteeringBuffers } from "./steer.ts"

/** Neighbouring tokens of a list: `first` up to `first + count`. */
export interface Piece {
  readonly first: number
  readonly count: number
}

/** Cuts `total` things into pieces of at most `size`. */
export function cut(total: number, size: number): Piece[] {
  const pieces: Piece[] = []
  for (let first = 0; first < total; first += size) pieces.push({ first, count: Math.min(size, total - first) })
  return pieces
}

export interface PassInput {
  readonly list: TokenList
  readonly piece: Piece
  readonly cache: KvCache
  readonly steering: SteeringBuffers
  /** Rows of logits that the pass will make at a time. */
  readonly logitRows: number
  readonly capture?: Capture | undefined
}

/** Puts a piece of a list into the workspace: record the pass and submit it before awaiting anything. */
export function preparePass(core: Core, { list, piece, cache, steering, logitRows, capture }: PassInput): Pass {
  const { config, weights, kernels, device } = core
  const workspace = core.workspace(piece.count, logitRows)
  const { ids, rows, positions } = workspace.buffers
  const slice = (values: readonly number[]): Uint32Array => Uint32Array.from(values.slice(piece.first, piece.first + piece.count))
  device.write(ids, slice(list.ids))
  device.write(rows, slice(list.rows))
  device.write(positions, slice(list.positions))
  const batch = { tokens: piece.count, ids, rows, positions }
  return { config, weights, kernels, workspace, cache, rotaryTable: core.rotaryTable(cache.capacity), steering, capture, batch }
}

/** A group of whole sequences that runs together, with its own cache and steering. */
export interface SequenceGroup {
  /** Places of its sequences in the caller's list. */
  readonly members: readonly number[]
  readonly list: TokenList
  readonly cache: KvCache
  readonly steering: SteeringBuffers
}

/** Runs `sequences` in groups that the device can take; `visit` gets each group in turn. Rows never see each other. */
export async function eachGroup(
  core: Core,
  sequences: readonly (readonly number[])[],
  steering: readonly Steering[],
  signal: AbortSignal | undefined,
  visit: (group: SequenceGroup) => Promise<void>,
): Promise<void> {
  const lengths = sequences.map((ids) => ids.length)
  for (const members of groupRows(lengths, core.limits)) {
    signal?.throwIfAborted()
    const own = members.map((member) => sequences[member] as readonly number[])
    const capacity = Math.max(1, ...own.map((ids) => ids.length))
    using cache = new KvCache(core.device, core.config, members.length, capacity)
    using buffers = SteeringBuffers.upload(core.device, core.config, steering, members)
    await core.device.settled()
    await visit({ members, list: tokenList(own), cache, steering: buffers })
  }
}
