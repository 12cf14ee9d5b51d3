import { edit, type EditParameters, type EditStrides, placeInExpression } from "../kernels/edit.ts"
import type { Kernel } from "../kernels/kernel.ts"
import type { LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { InputError } from "./errors.ts"
import { hookShapes, isPattern, selectHooks } from "./hooks.ts"
import { Workspace } from "./memory.ts"
import type { Recorder } from "./recorder.ts"
import type { Tensor } from "./tensor.ts"

/** Where a token's values stand: its row in the caller's list, its position, and the shape of the values. */
export interface EditPlace {
  readonly name: string
  readonly row: number
  readonly position: number
  readonly shape: readonly number[]
}

/** Changes internals by a WGSL expression that is compiled into the pass and runs at the GPU's speed. */
export interface ShaderEdit {
  /** The name of an internal; `*` stands for any characters. */
  readonly hook: string
  /**
   * A WGSL expression of type f32, the new value of each x. It may use `x`, the u32 `row`, `position`, `head` (0 where an
   * internal has no heads) and `index` (along the last axis), and the tensors' names: `x * (1.0 - mask) + patch`.
   */
  readonly wgsl: string
  /**
   * Up to two tensors by their names in the expression. Their shapes are aligned at the end with [row, pos, ...] of the
   * internal (the pattern's are [row, head, query, key]), and axes of length 1 repeat, as in NumPy.
   */
  readonly tensors?: Readonly<Record<string, Tensor>>
}

/** Changes internals by a function on the host: the pass waits for it, so it is slow. */
export interface HostEdit {
  readonly hook: string
  /**
   * Called for every token with its values, which it changes in place. Of an attention pattern these are [head, key], with
   * keys up to a multiple of 8.
   */
  readonly apply: (values: Float32Array, place: EditPlace) => void
}

/** A change of internals while the model runs. Edits of one hook act in their order; captures see the edited values. */
export type Edit = ShaderEdit | HostEdit

/** Rows and positions that a run has. */
export interface EditExtent {
  readonly rows: number
  readonly positions: number
}

/** Where an internal lies on the GPU in one pass. */
export interface EditTarget {
  readonly buffer: GpuBuffer
  /** Floats from one token's row to the next, and where in it the values begin. */
  readonly stride: number
  readonly start: number
  readonly shape: readonly number[]
  readonly tokens: number
  readonly rows: GpuBuffer
  readonly positions: GpuBuffer
  /** The caller's row of the batch's first row. */
  readonly firstRow: number
}

interface Prepared {
  readonly kernel: Kernel<EditParameters>
  readonly tensors: readonly [GpuBuffer, GpuBuffer]
  readonly strides: readonly [EditStrides, EditStrides]
}

const NONE: EditStrides = { row: 0, position: 0, outer: 0, inner: 0 }
const NAME = /^[A-Za-z][A-Za-z0-9_]*$/
const TAKEN = new Set(["x", "row", "position", "head", "index"])

/** The edits of one run: compiled, with their tensors on the GPU. */
export class EditSet implements Disposable {
  readonly #shader = new Map<string, Prepared[]>()
  readonly #host = new Map<string, HostEdit[]>()
  readonly #buffers: GpuBuffer[] = []
  readonly #device: Device
  readonly #config: LlamaConfig
  #workspace: Workspace | undefined

  private constructor(device: Device, config: LlamaConfig) {
    this.#device = device
    this.#config = config
  }

  /**
   * Compiles edits for a run of this extent.
   * @throws InputError for an unknown hook, an expression that does not compile, or a tensor of another shape.
   */
  static async prepare(
    device: Device,
    config: LlamaConfig,
    edits: readonly Edit[],
    extent: EditExtent,
  ): Promise<EditSet | undefined> {
    if (edits.length === 0) return undefined
    const set = new EditSet(device, config)
    try {
      for (const one of edits) {
        const names = selectHooks(config, one.hook, `edit of ${one.hook}`)
        if ("wgsl" in one) await set.#addShader(one, names, extent)
        else for (const name of names) set.#host.set(name, [...(set.#host.get(name) ?? []), one])
      }
      await device.settled()
      return set
    } catch (error) {
      set.dispose()
      throw error
    }
  }

  /** Whether any edit runs on the host: passes then wait in their midst and need a workspace of their own. */
  get waits(): boolean {
    return this.#host.size > 0
  }

  /** A workspace that no other run shares. */
  workspace(tokens: number, logitRows: number): Workspace {
    const current = this.#workspace
    if (current && current.tokens >= tokens && current.logitRows >= logitRows) return current
    current?.dispose()
    const most = (a: number, b = 0): number => Math.max(a, b)
    this.#workspace = new Workspace(
      this.#device,
      this.#config,
      most(tokens, current?.tokens),
      most(logitRows, current?.logitRows),
    )
    return this.#workspace
  }

  has(name: string): boolean {
    return this.#shader.has(name) || this.#host.has(name)
  }

  /** Records the shader edits of one internal. */
  record(recorder: Recorder, name: string, target: EditTarget): void {
    const { buffer, rows, positions, tokens, stride, start, shape, firstRow } = target
    const width = shape.reduce((a, b) => a * b, 1)
    const inner = shape.at(-1) ?? 1
    for (const { kernel, tensors, strides } of this.#shader.get(name) ?? []) {
      recorder.run(kernel, [buffer, rows, positions, ...tensors], {
        tokens,
        width,
        inner,
        stride,
        start,
        firstRow,
        tensors: strides,
      })
    }
  }

  /** The host edits of one internal. */
  onHost(name: string): readonly HostEdit[] {
    return this.#host.get(name) ?? []
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose()
    this.#workspace?.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  async #addShader(one: ShaderEdit, hooks: readonly string[], extent: EditExtent): Promise<void> {
    const device = this.#device
    const tensors = Object.entries(one.tensors ?? {})
    checkNames(
      one,
      tensors.map(([name]) => name),
    )
    const kernel = edit({ expression: one.wgsl, names: tensors.map(([name]) => name) })
    const complaint = await device.complaintAbout(kernel.code)
    if (complaint !== undefined) {
      const { line, column } = placeInExpression(kernel, complaint.line, complaint.column)
      throw new InputError({
        where: `edit of ${one.hook}`,
        expected: "a WGSL expression of type f32",
        found: `«${one.wgsl}», line ${line}, column ${column}: ${complaint.message}`,
      })
    }
    const uploaded = tensors.map(([name, { data }]) => device.upload(`tensor ${name} of an edit`, data))
    while (uploaded.length < 2) uploaded.push(device.createBuffer("no tensor", 4))
    this.#buffers.push(...uploaded)
    const shapes = hookShapes(this.#config)
    for (const hook of hooks) {
      const strides = tensors.map(([name, tensor]) => stridesOf(hook, shapes.get(hook) ?? [], name, tensor, extent))
      while (strides.length < 2) strides.push(NONE)
      const prepared = { kernel, tensors: uploaded as [GpuBuffer, GpuBuffer], strides: strides as [EditStrides, EditStrides] }
      this.#shader.set(hook, [...(this.#shader.get(hook) ?? []), prepared])
    }
  }
}

function checkNames({ hook, wgsl }: ShaderEdit, names: readonly string[]): void {
  const where = `edit of ${hook}`
  if (/[;{}]/.test(wgsl) || wgsl.trim() === "") {
    throw new InputError({ where, expected: "one WGSL expression", found: `«${wgsl}»`, todo: "leave ; { } away" })
  }
  if (names.length > 2) throw new InputError({ where, expected: "at most two tensors", found: names.join(", ") })
  const bad = names.find((name) => !NAME.test(name) || TAKEN.has(name))
  if (bad !== undefined) {
    throw new InputError({
      where,
      expected: "tensor names of letters, digits and _ other than x, row, position, head, index",
      found: `«${bad}»`,
    })
  }
}

/** How a tensor lies over [row, pos, ...shape] of an internal; the pattern's order is [row, head, query, key]. */
function stridesOf(hook: string, shape: readonly number[], name: string, tensor: Tensor, extent: EditExtent): EditStrides {
  const where = `edit of ${hook}, tensor ${name}`
  const size = tensor.shape.reduce((a, b) => a * b, 1)
  if (size !== tensor.data.length || size === 0) {
    throw new InputError({
      where,
      expected: `${size} numbers for shape [${tensor.shape.join(", ")}]`,
      found: `${tensor.data.length}`,
    })
  }
  const axes = axesOf(hook, shape, extent)
  const aligned = axes.slice(Math.max(0, axes.length - tensor.shape.length))
  const strides: Record<keyof EditStrides, number> = { ...NONE }
  let stride = 1
  for (let i = aligned.length - 1; i >= 0; i--) {
    const { axis, length, least } = aligned[i] as EditAxis
    const own = tensor.shape[tensor.shape.length - aligned.length + i] as number
    if (own !== 1 && (least ? own < length : own !== length)) break
    if (own !== 1) strides[axis] = stride
    stride *= own
    if (i === 0 && stride === size) return strides
  }
  const expected = `a shape that fits [${axes.map(({ length }) => length).join(", ")}]`
  throw new InputError({ where, expected, found: `[${tensor.shape.join(", ")}]`, todo: "give axes that repeat the length 1" })
}

/** An axis of an internal: its length, or the least that a tensor must have along it. */
interface EditAxis {
  readonly axis: keyof EditStrides
  readonly length: number
  readonly least: boolean
}

function axesOf(hook: string, shape: readonly number[], { rows, positions }: EditExtent): readonly EditAxis[] {
  const row: EditAxis = { axis: "row", length: rows, least: true }
  const position: EditAxis = { axis: "position", length: positions, least: true }
  const outer: EditAxis = { axis: "outer", length: shape[0] ?? 1, least: false }
  if (isPattern(hook)) return [row, outer, position, { axis: "inner", length: positions, least: true }]
  const inner: EditAxis = { axis: "inner", length: shape.at(-1) ?? 1, least: false }
  return shape.length === 2 ? [row, position, outer, inner] : [row, position, inner]
}
