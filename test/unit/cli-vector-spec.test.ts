import { expect, test } from "vitest"
import { parsePositions, parseVectorSpec, parseWay, parseWeightedFile, resolvePositions } from "../../src/cli/vector-spec.ts"

test.each([
  ["a file alone", "a.gguf", { file: "a.gguf", coefficient: undefined, how: {} }],
  ["a coefficient", "a.gguf:0.5", { file: "a.gguf", coefficient: 0.5, how: {} }],
  ["a negative coefficient", "a.safetensors:-.5e1", { file: "a.safetensors", coefficient: -5, how: {} }],
  ["layers", "a.gguf:1:2-4,7", { file: "a.gguf", coefficient: 1, how: { layers: [2, 3, 4, 7] } }],
  [
    "layers, then positions",
    "a.gguf:1:3:generated",
    { file: "a.gguf", coefficient: 1, how: { layers: [3], positions: "generated" } },
  ],
  ["positions, then layers", "a.gguf:1:last:3", { file: "a.gguf", coefficient: 1, how: { layers: [3], positions: "last" } }],
  ["an empty field", "a.gguf:1::prompt", { file: "a.gguf", coefficient: 1, how: { positions: "prompt" } }],
  ["no coefficient, but layers", "a.gguf::3", { file: "a.gguf", coefficient: undefined, how: { layers: [3] } }],
  ["a range of positions", "a.gguf:1:2..5", { file: "a.gguf", coefficient: 1, how: { positions: { from: 2, to: 5 } } }],
  ["from the prompt's end", "a.gguf:1:-3..-1", { file: "a.gguf", coefficient: 1, how: { positions: { from: -3, to: -1 } } }],
  ["an open range", "a.gguf:1:4..", { file: "a.gguf", coefficient: 1, how: { positions: { from: 4, to: undefined } } }],
  ["a way", "a.gguf:1:ablate", { file: "a.gguf", coefficient: 1, how: { way: "ablate" } }],
  [
    "everything",
    "a.gguf:0.2:rotate:3-4:keep-length:all",
    { file: "a.gguf", coefficient: 0.2, how: { way: "rotate", layers: [3, 4], keepLength: true, positions: "all" } },
  ],
  ["a Windows path", "C:\\v\\a.gguf:2:3", { file: "C:\\v\\a.gguf", coefficient: 2, how: { layers: [3] } }],
  ["a name like a URL", "http://host:80/a.gguf:2", { file: "http://host:80/a.gguf", coefficient: 2, how: {} }],
  ["a name with fields in it", "x:3:last.gguf:2", { file: "x:3:last.gguf", coefficient: 2, how: {} }],
  ["a name with an ending in it", "a.gguf:b.safetensors:2", { file: "a.gguf:b.safetensors", coefficient: 2, how: {} }],
  ["capital letters", "A.GGUF:1", { file: "A.GGUF", coefficient: 1, how: {} }],
])("%s", (_name, text, expected) => {
  expect(parseVectorSpec(text)).toEqual(expected)
})

test.each([
  ["a.bin:1", "--vector a.bin:1: expected a file that ends in .safetensors or .gguf"],
  ["a.ggufx:1", "expected a file that ends in .safetensors or .gguf"],
  [".gguf.bin", "expected a file that ends in .safetensors or .gguf"],
  ["a.gguf:x", "--vector a.gguf:x: expected a number after the file's name, found «x»"],
  ["a.gguf:Infinity", "expected a number after the file's name, found «Infinity»"],
  ["a.gguf:3-4", "expected a number after the file's name, found «3-4»"],
  ["a.gguf:1:genrated", "expected layers such as 3-4, .*found «genrated»; did you mean generated\\?"],
  ["a.gguf:1:sideways", "found «sideways»$"],
  ["a.gguf:1:ablat", "found «ablat»; did you mean ablate\\?"],
  ["a.gguf:1:keeplength", "did you mean keep-length\\?"],
  ["a.gguf:1:4-3", "expected layers such as 2-5,7 \\(from 0\\), found «4-3»"],
  ["a.gguf:1:-3", "expected layers such as 3-4, positions such as"],
  ["a.gguf:1:5..2", "positions such as 2..5 or -3..-1, found «5..2»"],
  ["a.gguf:1:-1..-3", "found «-1..-3»"],
  ["a.gguf:1:..3", "found «..3»"],
  ["a.gguf:1:1..2..3", "found «1..2..3»"],
  ["a.gguf:1:3:4", "expected layers once, found «4»"],
  ["a.gguf:1:last:2..3", "expected positions once, found «2..3»"],
  ["a.gguf:1:add:clamp", "expected a way once, found «clamp»"],
])("%s is refused", (text, message) => {
  expect(() => parseVectorSpec(text)).toThrow(new RegExp(message))
})

test.each([
  ["a.gguf", { file: "a.gguf", weight: 1 }],
  ["a.gguf:-1", { file: "a.gguf", weight: -1 }],
  ["D:\\a.safetensors:0.5", { file: "D:\\a.safetensors", weight: 0.5 }],
])("%s with its weight", (text, expected) => {
  expect(parseWeightedFile(text)).toEqual(expected)
})

test.each([
  ["a.gguf:", "a.gguf:: expected a number after the file's name, found «»"],
  ["a.gguf:1:3-4", "expected FILE or FILE:WEIGHT, found «:3-4» too"],
])("%s has no weight", (text, message) => {
  expect(() => parseWeightedFile(text)).toThrow(message)
})

// A prompt of 4 tokens; the engine's ranges end before their second number.
test.each([
  ["all", "all"],
  ["generated", "generated"],
  ["2..5", [2, 6]],
  ["0..0", [0, 1]],
  ["2..", [2, Infinity]],
  ["-3..-1", [1, 4]],
  ["-1..", [3, Infinity]],
  ["1..-2", [1, 3]],
  ["-9..-3", [0, 2]],
  ["-9..-5", [0, 0]],
])("positions %s after a prompt of four tokens", (text, expected) => {
  expect(resolvePositions(parsePositions(text, "--positions"), 4)).toEqual(expected)
})

test("an unknown way has a nearest one", () => {
  expect(() => parseWay("rotat", "--way")).toThrow(
    "--way: expected add, ablate, clamp, rotate, found «rotat»; did you mean rotate?",
  )
})
