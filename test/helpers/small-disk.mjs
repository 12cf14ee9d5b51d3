// Loaded before the command line (node --import): the folder SMALL_DISK_FOLDER is a disk of SMALL_DISK_BYTES. As on a full one, a
// write takes what there is room for, and one without any room fails. A mount would need root.
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { join, resolve, sep } from "node:path"

const folder = process.env["SMALL_DISK_FOLDER"]
const size = Number(process.env["SMALL_DISK_BYTES"])
const inside = (path) => resolve(String(path)).startsWith(`${folder}${sep}`)
const { openSync, writeSync } = fs
const { writeFile } = fs.promises
const paths = new Map()

function room() {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return files.reduce((left, { parentPath, name }) => left - fs.statSync(join(parentPath, name)).size, size)
}

function checkRoom(bytes) {
  if (bytes <= 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" })
}

fs.openSync = (path, ...rest) => {
  const file = openSync(path, ...rest)
  paths.set(file, path)
  return file
}

fs.writeSync = (file, bytes, offset = 0) => {
  if (!inside(paths.get(file) ?? "")) return writeSync(file, bytes, offset)
  const length = Math.min(bytes.length - offset, room())
  checkRoom(length)
  return writeSync(file, bytes, offset, length)
}

fs.promises.writeFile = async (path, data, options) => {
  const bytes = Buffer.from(data)
  const fits = inside(path) ? Math.max(0, Math.min(bytes.length, room())) : bytes.length
  await writeFile(path, bytes.subarray(0, fits), options)
  if (fits < bytes.length) checkRoom(0)
}

syncBuiltinESMExports()
