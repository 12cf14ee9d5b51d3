import { InputError } from "../index.ts"
import { writeComparison, writeReport } from "../node.ts"
import type { Command, Context } from "./command.ts"

export const report: Command = {
  name: "report",
  summary: "write the report of a run or a study anew, or compare several runs",
  operands: {
    value: "DIR …",
    help: "folders that redline find --out or redline study --out wrote; to compare, of runs alone",
    least: 1,
    most: Infinity,
  },
  options: { out: { value: "DIR", help: "of several runs: the folder for comparison.html and its figure" } },
  notes: [
    "One folder: report.html and its figures as SVG and PNG are written into it (of a run curve and metrics, of a study that is done " +
      "methods and truth). Several: comparison.html with their curves in one figure and a table, in --out. The pages need no network.",
    "JSON: { files }, the files written.",
  ],
  examples: ["redline report runs/bridge", "redline report runs/bridge runs/pirate --out runs/compared"],
  run,
}

async function run({ options, terminal }: Context): Promise<void> {
  const folders = options.operands
  const out = options.text("out")
  if (folders.length === 1 && out !== undefined) {
    throw new InputError({
      where: "--out",
      expected: "no --out with a single run",
      found: out,
      todo: "its report goes into its own folder",
    })
  }
  const files =
    folders.length === 1
      ? await writeReport(folders[0] as string)
      : await writeComparison(folders, options.required("out", "name a folder for the comparison"))
  if (terminal.json) return terminal.document({ files })
  terminal.print(...files)
}
