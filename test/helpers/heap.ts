import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

/** Bytes of this process's heap that are in use. What Dawn holds is let go in the turns after a collection. */
export async function heapInUse(): Promise<number> {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  for (let i = 0; i < 3; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  return process.memoryUsage().heapUsed
}
