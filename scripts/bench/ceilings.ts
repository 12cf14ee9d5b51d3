import { readFile } from "node:fs/promises"
import * as z from "zod"
import { checkShape, parseJson } from "../../src/engine/json.ts"
import { type Device, InputError } from "../../src/index.ts"
import { effortFor, measureFma, measureMatrices, measureMemory } from "./card/measure.ts"
import { gigabytes, withPrefix } from "./numbers.ts"
import type { BenchContext } from "./report.ts"

/** What the card was measured to do at most, a second. */
export interface Ceilings {
  /** Bytes, of a kernel that copies or that reads: the larger. */
  readonly bytes: number
  /** Operations in f32, a multiply-add being two. */
  readonly f32: number
  /** Operations of subgroup matrices, of the fastest configuration with floating-point numbers that adds up in f32. */
  readonly matrices: number | undefined
  /** The file that says so, or «measured beside». */
  readonly from: string
}

const speed = z.object({ perSecond: z.number("a number") })
const cardShape = z.object(
  {
    benchmark: z.literal("card", "card: the JSON of «bench card --out»"),
    adapter: z.object({ description: z.string("a text"), device: z.string("a text") }),
    memory: z.object({ copy: speed, read: speed }),
    fma: z.object({ speed }),
    matrices: z.array(
      z.object({
        config: z.object({ componentType: z.string("a type"), resultComponentType: z.string("a type") }),
        speed: speed.optional(),
      }),
    ),
  },
  "an object",
)

/**
 * The ceilings: those of the file after `--card`, or measured now, in a few seconds.
 * @throws InputError when the file is another card's.
 */
export async function ceilingsFor({ options, device }: BenchContext): Promise<Ceilings> {
  const file = options.text("card")
  if (file !== undefined) return readCeilings(file, device)
  const effort = effortFor(device, 3)
  const memory = await measureMemory(device, effort)
  const fma = await measureFma(device, effort)
  return ceilingsOf({ memory, fma, matrices: await measureMatrices(device, effort) }, "measured beside")
}

async function readCeilings(file: string, { facts }: Device): Promise<Ceilings> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    const found = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : String(error)
    throw new InputError({ where: `--card ${file}`, expected: "the JSON of «bench card --out»", found }, { cause: error })
  })
  const card = checkShape(cardShape, parseJson(text, file), file)
  if (card.adapter.description === facts.description && card.adapter.device === facts.device) return ceilingsOf(card, file)
  const [expected, found] = [facts.description || facts.device, card.adapter.description || card.adapter.device]
  throw new InputError({ where: `--card ${file}`, expected, found, todo: "measure this card first" })
}

type Measured = Pick<z.output<typeof cardShape>, "memory" | "fma"> & {
  readonly matrices: readonly {
    readonly config: { readonly componentType: string; readonly resultComponentType: string }
    readonly speed?: { readonly perSecond: number } | undefined
  }[]
}

function ceilingsOf({ memory, fma, matrices }: Measured, from: string): Ceilings {
  const wide = matrices.filter(({ config }) => config.componentType.startsWith("f") && config.resultComponentType === "f32")
  const speeds = wide.flatMap((matrix) => matrix.speed?.perSecond ?? [])
  return {
    bytes: Math.max(memory.copy.perSecond, memory.read.perSecond),
    f32: fma.speed.perSecond,
    matrices: speeds.length > 0 ? Math.max(...speeds) : undefined,
    from,
  }
}

/** The ceilings on a line. */
export function ceilingsLine({ bytes, f32, matrices, from }: Ceilings): string {
  const units = matrices === undefined ? "no matrix units" : `${withPrefix(matrices, "FLOP/s")} by matrix units`
  return `ceilings (${from}): ${gigabytes(bytes)}, ${withPrefix(f32, "FLOP/s")} in f32, ${units}`
}
