/** What only Node.js has: Dawn and the file system. */
export { openDevice, type OpenDeviceOptions } from "./node/dawn.ts"
export { assertWritable, type DiskFolder, FileSource, fileSource, makeFolder, openFolder, writeFileAtomic } from "./node/files.ts"
export { embeddedModel, loadModel } from "./node/model.ts"
