/** What only Node.js has: Dawn and the file system. */
import { fileURLToPath } from "node:url"

export { openDevice, type OpenDeviceOptions } from "./node/dawn.ts"
export {
  assertWritable,
  type DiskFolder,
  type FileSource,
  fileSource,
  makeFolder,
  openFolder,
  writeFileAtomic,
} from "./node/files.ts"
export {
  endpointAddress,
  type EndpointKind,
  type EndpointOptions,
  type EndpointWait,
  KEY_VARIABLES,
} from "./node/grader-endpoint.ts"
export { gradesIn, type OpenGrades, openGrades } from "./node/grades-file.ts"
export { type LayerMapFacts, writeLayerMap } from "./node/layer-map.ts"
export { loadModel } from "./node/model.ts"
export { remoteGrader, type RemoteGraderOptions } from "./node/remote-grader.ts"
export { writeComparison, writeReport } from "./node/report.ts"
export { type OpenStudy, openStudy, readStudy, topicFolder } from "./node/study-folder.ts"
export { hashModel, openRun, type OpenRun, readRun, sha256 } from "./node/run-folder.ts"

/** The folder of the model that comes with this package, tiny-talk: beside src/ as beside dist/. */
export const embeddedModel: string = fileURLToPath(new URL("../models/tiny-talk", import.meta.url))

/** The folder of its sibling that answers in chats, tiny-talk-instruct: the same tokens, with a chat template. */
export const embeddedInstructModel: string = fileURLToPath(new URL("../models/tiny-talk-instruct", import.meta.url))

/** The folder of the demo's page, which the build writes: beside node.js in dist/. */
export const builtPage: string = fileURLToPath(new URL("../dist/web", import.meta.url))

/** The rubric that comes with this package: AxBench's three questions. */
export const defaultRubric: string = fileURLToPath(new URL("../rubrics/axbench.md", import.meta.url))
