import { expect, test } from "vitest"
import { studyLines } from "../../src/cli/study-report.ts"
import { resultOfStudy, studiedTopic } from "../helpers/studies.ts"

const topic = (name: string) => studiedTopic(name, [1, 1, 1, 0.5, 0, 0], [1, 1, 1, 1, 4, 5], [1, 1, 1, 1, 4, 5])

test.each([
  [["bridge"], "1 topic; last coherent coefficient: bridge "],
  [["bridge", "pirate"], "2 topics; last coherent coefficient: bridge "],
])("a study of %j counts its topics", (names, start) => {
  expect(studyLines(resultOfStudy(names.map(topic)))[0]?.startsWith(start)).toBe(true)
})
