import type { Capture } from "./capture.ts"
import { type Core, groupRows } from "./core.ts"
import type { EditSet } from "./edits.ts"
import type { Batch, Pass } from "./llama.ts"
import { KvCache, type Workspace } from "./memory.ts"
import { noPrefixes, type Prefix, Prefixes, sharedPrefixes } from "./prefixes.ts"
import { type SteeredRow, type Steering, SteeringBuffers } from "./steer.ts"

/** Tokens to run, in the order of rows and, in a row, of positions. */
export interface TokenList {
  readonly ids: readonly number[]
  readonly rows: readonly number[]
  readonly positions: readonly number[]
}

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

/** Rows that run together, neighbours in the caller's list, with their own cache and steering. */
export interface RowGroup {
  /** Places of its rows in the caller's list. */
  readonly members: readonly number[]
  readonly list: TokenList
  readonly cache: KvCache
  readonly prefixes: Prefixes
  readonly steering: SteeringBuffers
  readonly edits: EditSet | undefined
  /** Layers to run. */
  readonly depth: number
}

/** Puts a piece of a group's tokens into the workspace: record the pass and submit it before awaiting anything. */
export function preparePass(core: Core, group: RowGroup, piece: Piece, logitRows: number, capture?: Capture): Pass {
  const { list, members } = group
  const workspace = core.workspace(piece.count, logitRows, group.edits)
  const { ids, rows, positions } = workspace.buffers
  const slice = (values: readonly number[]): Uint32Array => Uint32Array.from(values.slice(piece.first, piece.first + piece.count))
  core.device.write(ids, slice(list.ids))
  core.device.write(rows, slice(list.rows))
  core.device.write(positions, slice(list.positions))
  const place = (token: number): { row: number; position: number } => ({
    row: members[list.rows[piece.first + token] as number] as number,
    position: list.positions[piece.first + token] as number,
  })
  return { ...passOf(core, group, { tokens: piece.count, ids, rows, positions, single: false }, workspace, place), capture }
}

/** The pass of a batch of a group's tokens, which captures nothing. */
export function passOf(core: Core, group: RowGroup, batch: Batch, workspace: Workspace, place: Pass["place"]): Pass {
  const { config, weights, kernels } = core
  const { members, cache, prefixes, steering, edits, depth } = group
  const rotaryTable = core.rotaryTable(cache.capacity)
  const firstRow = members[0] ?? 0
  const none = { capture: undefined, begin: undefined }
  return {
    config,
    weights,
    kernels,
    workspace,
    cache,
    prefixes,
    rotaryTable,
    steering,
    edits,
    batch,
    firstRow,
    depth,
    place,
    ...none,
  }
}

/** The places in a piece of the tokens that are the last of their rows. */
export function lastPlaces({ rows }: TokenList, { first, count }: Piece): number[] {
  return places(count).filter((i) => rows[first + i + 1] !== rows[first + i])
}

/** 0 up to `count`. */
export const places = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** The tokens of `sequences`, row by row, without those that another row runs for them. */
export function tokenList(sequences: readonly (readonly number[])[], prefixes: readonly Prefix[] = []): TokenList {
  const own = sequences.map((ids, row) => places(ids.length).slice(prefixes[row]?.shared ?? 0))
  return {
    ids: own.flatMap((positions, row) => positions.map((position) => sequences[row]?.[position] as number)),
    rows: own.flatMap((positions, row) => positions.map(() => row)),
    positions: own.flat(),
  }
}

/** A sequence to run: its ids, and how many of them are the prompt, for steering that tells prompt and rest apart. */
export interface RunSequence {
  readonly ids: readonly number[]
  readonly promptLength: number
}

export interface GroupOptions {
  readonly steering: readonly Steering[]
  readonly edits: EditSet | undefined
  /** Layers to run; all unless told. */
  readonly depth?: number
  /** Whether rows share what they begin with alike, up to their prompt's last token; not with steering or edits, which part them. */
  readonly shares?: boolean
  readonly signal: AbortSignal | undefined
}

/** Runs `sequences` in groups that the device can take; `visit` gets each group in turn. Rows never see each other. */
export async function eachGroup(
  core: Core,
  sequences: readonly RunSequence[],
  { steering, edits, signal, shares = false, depth = core.config.layers }: GroupOptions,
  visit: (group: RowGroup) => Promise<void>,
): Promise<void> {
  const lengths = sequences.map(({ ids }) => ids.length)
  for (const members of groupRows(lengths, core.limits)) {
    signal?.throwIfAborted()
    const own = members.map((member) => sequences[member] as RunSequence)
    const capacity = Math.max(1, ...own.map(({ ids }) => ids.length))
    const rows: SteeredRow[] = own.map(({ promptLength }, i) => ({ index: members[i] as number, promptLength }))
    using cache = new KvCache(core.device, core.config, members.length, capacity)
    using buffers = SteeringBuffers.upload(core.device, core.config, steering, rows)
    const ids = own.map((sequence) => sequence.ids)
    const shared = shares
      ? sharedPrefixes(
          ids,
          own.map(({ promptLength }) => promptLength - 1),
        )
      : noPrefixes(own.length)
    using prefixes = new Prefixes(core.device, shared, core.config.layers)
    await core.device.settled()
    await visit({ members, list: tokenList(ids, shared), cache, prefixes, steering: buffers, edits, depth })
  }
}
