import { parseHTML } from "linkedom"
import { describe, expect, test } from "vitest"
import { heatRow, mapNotes, setTable } from "../../src/cli/layer-map-report.ts"
import { changedShare, checkSets, type LayerMap, layerSets, mappedSet, type MappedSet } from "../../src/steering/layer-map.ts"
import { heatMapFigure, levelOf } from "../../src/steering/report/heat-map.ts"
import { foundRun } from "../helpers/runs.ts"

const RELATIVE = [0, 0.25, 0.5, 0.75, 1]
const found = foundRun()
const set = mappedSet(found, RELATIVE)
const none = mappedSet({ ...found, layers: [5], max: null, crossing: null, minimum: null, reason: "never" }, RELATIVE)
const settings = { ...found.settings, coefficients: RELATIVE }
const map: LayerMap = { sets: [set, none], suggested: set, prompts: found.prompts, settings, stopped: false }
/** A set of which the distances alone matter. */
const at = (distances: readonly number[]): MappedSet => ({
  ...set,
  relativeRedline: 1,
  points: distances.map((distance, relative) => ({ relative, coefficient: relative, metric: distance, distance })),
})

test.each([
  [[3], [[3]]],
  [
    [2, 0, 1, 1],
    [[0], [1], [2], [0, 1], [1, 2]],
  ],
  [
    [1, 3, 4],
    [[1], [3], [4], [3, 4]],
  ],
])("the sets of layers %j are each alone and each pair of neighbours", (layers, sets) => {
  expect(layerSets(layers)).toEqual(sets)
})

describe("sets", () => {
  test("are ascending, each layer once", () => {
    expect(checkSets([[4, 3, 4], [2]])).toEqual([[3, 4], [2]])
  })

  test.each([
    [[], "sets: expected sets of at least one layer, found none; name the layers of each"],
    [[[1], []], "sets: expected sets of at least one layer, found a set without layers; name the layers of each"],
    [[[3, 4], [2], [4, 3], [2]], "sets: expected each set once, found layers 3, 4 and layers 2 again; leave the repetition out"],
  ])("%j is refused", (sets, message) => {
    expect(() => checkSets(sets)).toThrow(message)
  })
})

test("a search stands on the shared axis, with its distances from the baseline", () => {
  expect(set).toMatchObject({ unit: 2, redline: 1, relativeRedline: 0.5, minimum: 0.5, relativeMinimum: 0.25 })
  expect(set.points.map(({ relative }) => relative)).toEqual(RELATIVE)
  expect(set.points.map(({ distance }) => Number(distance.toFixed(6)))).toEqual([0, -0.5, 0.5, 3, 15])
  expect(set.effect).toEqual({ divergence: 1.1, changed: 0 })
  expect(none).toMatchObject({ redline: null, relativeRedline: null, minimum: null, relativeMinimum: null, effect: null })
})

test("a metric that is not finite lies beyond all, and one that stays at a baseline of 0 has not moved", () => {
  const curve = found.curve.map((point, i) => ({ ...point, metric: i === 4 ? NaN : 0 }))
  const { points } = mappedSet({ ...found, curve, baseline: 0, threshold: 0 }, RELATIVE)
  expect(points.map(({ distance }) => distance)).toEqual([0, 0, 0, 0, Infinity])
  expect([-1, 0.2, 0.25, 0.99, 1, 3.9, 8, Infinity, NaN].map(levelOf)).toEqual([0, 0, 1, 3, 4, 5, 7, 7, 7])
})

test.each([
  ["a character each", [0, 0.4, 0.5, 1, 2, 4, Infinity], 41, " ┃░▒▓██"],
  ["the worst of neighbours", [0, 0.4, 0.5, 1, 2, 4, 0], 3, "┃▒█"],
])("a row of the map: %s", (_name, distances, columns, row) => {
  expect(heatRow(at(distances), columns)).toBe(row)
})

test("the table and its notes", () => {
  const [head, first, second] = setTable(map)
  expect(head).toEqual({ kind: "heading", text: "layers  minimum  redline   own     KL  changed  0   1" })
  expect(first).toEqual({ kind: "suggested", text: "3-4        0.25      0.5     1  1.100      0 %    ┃▓█  ◀ suggested" })
  expect(second).toEqual({ kind: "set", text: "5          none     none  none   none     none    ░▓█" })
  const notes = mapNotes(map, 1000).join("\n")
  expect(notes).toContain("nll is 1 without steering, its threshold 1.2.")
  expect(notes).toContain("Suggested: layers 3-4 at 1, ")
  expect(mapNotes({ ...map, suggested: null, stopped: true }, 1000).slice(1)).toEqual([
    "Stopped before all sets were searched: these are those known by then.",
    "No set has a redline above 0 here: try other --coefficients.",
  ])
  const without = map.sets.map((each) => ({
    ...each,
    found: { ...each.found, baseline: 0, threshold: 0, reason: "a fraction of 0" },
  }))
  expect(mapNotes({ ...map, sets: without, suggested: null }, 1000).at(-1)).toBe("No set has a redline: a fraction of 0.")
})

test.each([720, 328])("the figure of %i px has a cell for each coefficient and set, and a bar for each redline", (width) => {
  const { document } = parseHTML("<html></html>")
  const drawn = parseHTML(heatMapFigure(map, document as object, width)).document
  const count = (selector: string): number => drawn.querySelectorAll(selector).length
  expect(count("g[class^=rl-level] rect")).toBe(2 * RELATIVE.length)
  expect(count('g[aria-label="tick"] line')).toBe(1)
  expect(count('g[aria-label="dot"] circle')).toBe(1)
  const words = [...drawn.querySelectorAll("text")].map(({ textContent }) => textContent)
  expect(words).toEqual(expect.arrayContaining(["3-4", "5", "1 ★", "none", "nll: 1 without steering, threshold 1.2"]))
})

test.each([
  { ids: [1, 2, 3, 4], plain: [1, 2, 3, 4], share: 0 },
  { ids: [1, 2, 9, 4], plain: [1, 2, 3, 4], share: 0.25 },
  { ids: [1, 2], plain: [1, 2, 3, 4], share: 0.5 },
  { ids: [], plain: [], share: 0 },
])("$ids differs from $plain in $share of its tokens", ({ ids, plain, share }) => {
  expect(changedShare(ids, plain)).toBe(share)
})
