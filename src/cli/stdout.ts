import { fstatSync } from "node:fs"
import { writeWhole } from "../node/files.ts"
import type { Output } from "./terminal.ts"

/** Where results go. Node's own stream to a file passes over what a full disk takes no more: there it is all written, or it throws. */
export function standardOutput(): Output {
  const facts = fstatSync(process.stdout.fd)
  const toFile = facts.isFile() || (facts.isCharacterDevice() && !process.stdout.isTTY)
  if (!toFile) return process.stdout
  return { write: (text) => writeWhole(process.stdout.fd, Buffer.from(text), "standard output") }
}
