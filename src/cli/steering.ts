import { InputError, type LlamaConfig, type Steering } from "../index.ts"
import { layersOption } from "./layers.ts"
import { anyNumber, type Options, type OptionTable } from "./options.ts"
import { type Manner, parsePositions, parseVectorSpec, parseWay, resolvePositions } from "./vector-spec.ts"
import { checkVector, type FileVector, readVectorFile } from "./vectors.ts"

/** The options of a steered run. */
export const steeringOptions: OptionTable = {
  "vector": {
    value: "VECTOR",
    help: "FILE:COEFFICIENT[:LAYERS][:POSITIONS][:WAY][:keep-length], .safetensors or .gguf; again for more",
  },
  "coefficient": { value: "NUMBER", help: "of the vectors that do not say theirs, as are all options below" },
  "layers": { value: "LAYERS", help: "0-based layers to act at, such as 2-5,7; all that a vector has unless told" },
  "positions": { value: "POSITIONS", help: "all (the default), prompt, generated, last (of the prompt), or 2..5, -3..-1, 4.." },
  "way": { value: "NAME", help: "add (the default), ablate, clamp or rotate: what the coefficient means" },
  "keep-length": { help: "scale the residual back to the length it had before" },
}

/** What the help of a steered command says of its vectors. */
export const steeringNotes: readonly string[] = [
  "VECTOR: FILE goes to its last .safetensors or .gguf, so that C:\\vectors\\calm.gguf:0.5 is no puzzle. After the coefficient come, " +
    "in any order, layers (3-4), positions (generated, 2..5 with 5 in it, -3..-1 from the prompt's end, 4.. to the end), a way, and " +
    "keep-length: calm.gguf:0.5:3-4:generated. The vectors act one after the other.",
  "Ways: add adds coefficient x vector; ablate takes that share of the projection on the vector away (1: all of it); clamp sets " +
    "the projection on the vector's direction to the coefficient; rotate turns the residual towards the vector by the coefficient " +
    "in radians.",
]

/** A vector, where it comes from, and what it does. */
export interface FileSteering extends FileVector {
  readonly coefficient: number
  readonly how: Manner
}

const OTHERS = ["coefficient", "layers", "positions", "way", "keep-length"]

/** The vectors that {@link steeringOptions} give; none when they give none. */
export async function readSteering(options: Options): Promise<FileSteering[]> {
  const coefficient = options.number("coefficient", anyNumber)
  const manner = mannerOption(options)
  const texts = options.all("vector")
  const lonely = OTHERS.find((name) => options.has(name))
  if (texts.length === 0 && lonely !== undefined) {
    throw new InputError({ where: `--${lonely}`, expected: "--vector beside it", found: "no vector", todo: "name its file" })
  }
  const specs = texts.map((text) => {
    const spec = parseVectorSpec(text)
    const own = spec.coefficient ?? coefficient
    if (own === undefined) {
      const expected = "a coefficient, as in FILE:COEFFICIENT"
      const todo = "«redline find» finds the largest usable one"
      throw new InputError({ where: `--vector ${text}`, expected, found: "none", todo })
    }
    return { file: spec.file, coefficient: own, how: { ...manner, ...spec.how } }
  })
  const steering: FileSteering[] = []
  for (const spec of specs) steering.push({ ...spec, ...(await readVectorFile(spec.file, spec.how.layers)) })
  return steering
}

/** @throws InputError for a vector that does not fit the model, naming its file. */
export function checkSteering(steering: readonly FileSteering[], config: LlamaConfig): void {
  for (const one of steering) checkVector(one, config)
}

/** The vectors as the engine takes them, for a row whose prompt has `promptLength` tokens. */
export function steeringFor(steering: readonly FileSteering[], promptLength: number): Steering[] {
  return steering.map(({ vector, coefficient, how: { positions = "all", way = "add", keepLength = false } }) => ({
    vector,
    coefficient,
    way,
    keepLength,
    positions: resolvePositions(positions, promptLength),
  }))
}

function mannerOption(options: Options): Manner {
  const layers = layersOption(options)
  const positions = options.text("positions")
  const way = options.text("way")
  return {
    ...(layers !== undefined && { layers }),
    ...(positions !== undefined && { positions: parsePositions(positions, "--positions") }),
    ...(way !== undefined && { way: parseWay(way, "--way") }),
    ...(options.has("keep-length") && { keepLength: true }),
  }
}
