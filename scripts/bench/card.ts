import { count } from "../../src/cli/options.ts"
import type { Device } from "../../src/index.ts"
import { measureDispatches, measureUpload } from "./card/host.ts"
import { configName, MATRIX_FEATURE } from "./card/matrices.ts"
import { effortFor, measureFma, measureMatrices, measureMemory } from "./card/measure.ts"
import { clockOf, type Speed } from "./card/timing.ts"
import { columns, digits, gigabytes, withPrefix } from "./numbers.ts"
import type { Benchmark, Report } from "./report.ts"

/** What the card can do, whatever a model asks of it: the ceilings that stand beside every other figure. */
export const cardBenchmark: Benchmark = {
  options: { dispatches: "1000" },
  features: ["shader-f16", MATRIX_FEATURE],
  async run({ options, device, repeats }) {
    const effort = effortFor(device, repeats)
    const memory = await measureMemory(device, effort)
    const fma = await measureFma(device, effort)
    const matrices = await measureMatrices(device, effort)
    const chain = await measureDispatches(device, options.number("dispatches", count) as number, repeats)
    const upload = await measureUpload(device, effort.bytes / 4, repeats)
    return report(device, { clock: clockOf(device), memory, fma, matrices, chain, upload })
  },
}

interface Card {
  readonly clock: string
  readonly memory: Awaited<ReturnType<typeof measureMemory>>
  readonly fma: Awaited<ReturnType<typeof measureFma>>
  readonly matrices: Awaited<ReturnType<typeof measureMatrices>>
  readonly chain: Awaited<ReturnType<typeof measureDispatches>>
  readonly upload: Awaited<ReturnType<typeof measureUpload>>
}

function report(device: Device, card: Card): Report {
  const { memory, fma, matrices, chain, upload } = card
  const mib = (bytes: number): string => `${bytes / 2 ** 20} MiB`
  const micro = (us: number): string => `${digits(us)} us`
  const rate = ({ perSecond }: Speed): string => withPrefix(perSecond, "FLOP/s")
  const lines = [
    ["copy by a kernel", gigabytes(memory.copy.perSecond), `${mib(memory.bytes)}, read and written; all words compared`],
    ["read by a kernel", gigabytes(memory.read.perSecond), `${mib(memory.bytes)}; the sum compared`],
    ["multiply-adds in f32", rate(fma.speed), `${fma.groups} workgroups; values compared`],
    ...matrices.map(({ config, speed, fault }) => [
      `matrices ${configName(config)}`,
      speed ? withPrefix(speed.perSecond, config.resultComponentType.startsWith("f") ? "FLOP/s" : "OP/s") : "not timed",
      fault ?? "values compared",
    ]),
    ["a dispatch in a chain", micro(chain.gpu ?? chain.whole), `${chain.dispatches} in a row; the count compared`],
    ["  encoded by the host", micro(chain.encode), ""],
    ["  as a whole", micro(chain.whole), ""],
    ["upload by writeBuffer", gigabytes(upload.writeBuffer.perSecond), `${mib(upload.bytes)} by 8 MiB; all bytes compared`],
    ["upload by mapped buffers", gigabytes(upload.mapped.perSecond), "the same"],
  ]
  const none = matrices.length === 0 ? [`  no subgroup matrices: ${whyNoMatrices(device)}`] : []
  return { lines: [...columnsWithNotes(lines), ...none], json: { ...card } }
}

function whyNoMatrices({ gpu }: Device): string {
  const offered = (gpu.features as ReadonlySet<string>).has(MATRIX_FEATURE)
  return offered ? "the adapter lists no configuration" : `the adapter lacks ${MATRIX_FEATURE}`
}

/** The notes of a line are not padded to the right. */
function columnsWithNotes(rows: readonly string[][]): string[] {
  const text = columns(rows.map((row) => row.slice(0, 2)))
  return text.map((line, i) => (rows[i]?.[2] ? `${line}  ${rows[i][2]}` : line))
}
