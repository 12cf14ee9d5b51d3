import { dirname, join } from "node:path"
import * as z from "zod"
import { EditSet } from "../engine/edits.ts"
import { checkShape, parseJson } from "../engine/json.ts"
import { InputError, type Model, nearest, readSafetensors, readTensorF32, type ShaderEdit, type Tensor } from "../index.ts"
import { fileSource } from "../node.ts"
import { readText } from "./files.ts"
import { quote } from "./options.ts"
import { inFile } from "./vectors.ts"

/** An edit and where it is written. */
export interface FileEdit {
  readonly edit: ShaderEdit
  /** The file and the entry's number in it, from 1. */
  readonly where: string
}

// The messages say what is expected: checkShape puts them into «expected …, found …».
const text = z.string("a text")
const editShape = z.strictObject(
  { hook: text, wgsl: text, tensors: z.record(z.string(), z.looseObject({}, "an object"), "an object of tensors").optional() },
  "an object of hook, wgsl and, where wanted, tensors, and nothing else",
)
const inlineShape = z.strictObject(
  {
    shape: z.array(z.int("a size of at least 1").min(1, "a size of at least 1"), "a list of sizes"),
    data: z.array(z.number("a number"), "a list of numbers"),
  },
  "a tensor, of shape and data or of file and tensor, and nothing else",
)
const storedShape = z.strictObject({ file: text, tensor: text }, "a stored tensor, of file and tensor, and nothing else")

/** The edits of a JSON file, with their tensors; none without a file. @throws InputError naming file and entry */
export async function readEdits(path: string | undefined): Promise<FileEdit[]> {
  if (path === undefined) return []
  const list = parseJson(await readText(path), path)
  if (!Array.isArray(list) || list.length === 0) {
    const found = Array.isArray(list) ? "an empty one" : "no list"
    throw new InputError({ where: path, expected: "a JSON list of edits { hook, wgsl, tensors }", found })
  }
  const edits: FileEdit[] = []
  for (const [i, value] of list.entries()) {
    const where = `${path}, entry ${i + 1}`
    const { hook, wgsl, tensors = {} } = checkShape(editShape, value, where)
    const read: Record<string, Tensor> = {}
    for (const [name, tensor] of Object.entries(tensors))
      read[name] = await readTensor(tensor, dirname(path), `${where}, tensor ${name}`)
    edits.push({ where, edit: { hook, wgsl, tensors: read } })
  }
  return edits
}

/** Compiles each edit once for a text of this length, so that an error can say which it is. @throws InputError naming file and entry */
export async function checkEdits({ device, config }: Model, edits: readonly FileEdit[], positions: number): Promise<void> {
  for (const { edit, where } of edits) {
    try {
      ;(await EditSet.prepare(device, config, [edit], { rows: 1, positions }))?.dispose()
    } catch (error) {
      throw inFile(where, error)
    }
  }
}

async function readTensor(value: Readonly<Record<string, unknown>>, folder: string, where: string): Promise<Tensor> {
  if ("file" in value) {
    const { file, tensor } = checkShape(storedShape, value, where)
    return readStoredTensor(join(folder, file), tensor, where)
  }
  const { shape, data } = checkShape(inlineShape, value, where)
  const size = shape.reduce((a, b) => a * b, 1)
  if (size === data.length) return { shape, data: Float32Array.from(data) }
  throw new InputError({ where, expected: `${size} numbers for shape [${shape.join(", ")}]`, found: `${data.length}` })
}

async function readStoredTensor(path: string, name: string, where: string): Promise<Tensor> {
  try {
    await using source = await fileSource(path)
    const { tensors } = await readSafetensors(source)
    const entry = tensors.get(name)
    if (entry) return { shape: entry.shape, data: await readTensorF32(entry) }
    const likely = nearest(name, [...tensors.keys()], 3)
    const todo = likely.length > 0 ? `the nearest are ${likely.join(", ")}` : "it has no tensors"
    throw new InputError({ where: path, expected: "a tensor of that name", found: quote(name), todo })
  } catch (error) {
    throw inFile(where, error)
  }
}
