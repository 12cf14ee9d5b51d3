import { cpus } from "node:os"
import type { Device } from "../../src/index.ts"
import { writeFileAtomic } from "../../src/node.ts"

/** What every benchmark takes. */
export const OPTIONS = {
  model: { type: "string" },
  adapter: { type: "string" },
  repeats: { type: "string", default: "5" },
  out: { type: "string" },
} as const

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

export const adapterLine = ({ facts }: Device): string => facts.description || facts.device

/** Where and when a benchmark ran. */
export function machine(device: Device): Record<string, unknown> {
  return {
    date: new Date().toISOString().slice(0, 10),
    node: process.version,
    cpu: `${cpus().length} x ${cpus()[0]?.model}`,
    adapter: device.facts,
  }
}

/** Writes the raw numbers, with the command that made them, where a file was named. */
export async function writeReport(
  out: string | undefined,
  { benchmark, args, ...rest }: { benchmark: string; args: string[]; [key: string]: unknown },
): Promise<void> {
  if (out === undefined) return
  const report = { benchmark, command: `npm run bench -- ${[benchmark, ...args].join(" ")}`, ...rest }
  await writeFileAtomic(out, `${JSON.stringify(report, null, 2)}\n`)
}
