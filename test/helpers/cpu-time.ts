import { readdirSync, readFileSync } from "node:fs"

/** Clock ticks of Linux in a second, as it counts them for programs. */
const TICKS = 100

/** Seconds that the cores have worked for this process's children and theirs, whatever else the machine does. */
export function childrensCpuTime(): number {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // pid (name) state ppid … utime stime, the name with any characters
        const fields = readFileSync(`/proc/${name}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ")
        return [{ pid: Number(name), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }]
      } catch {
        return [] // it has ended meanwhile
      }
    })
  const below = new Set([process.pid])
  for (let grown = true; grown;) {
    grown = false
    for (const { pid, parent } of processes) {
      if (!below.has(parent) || below.has(pid)) continue
      below.add(pid)
      grown = true
    }
  }
  below.delete(process.pid)
  return processes.reduce((sum, { pid, ticks }) => sum + (below.has(pid) ? ticks : 0), 0) / TICKS
}
