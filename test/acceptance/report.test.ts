import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { writeComparison, writeReport } from "../../src/node/report.ts"
import { openGrades, type OpenGrades } from "../../src/node/grades-file.ts"
import { openRun } from "../../src/node/run-folder.ts"
import { openStudy } from "../../src/node/study-folder.ts"
import { defaultCandidate } from "../../src/steering/study-run.ts"
import { aspects } from "../../src/steering/rubric.ts"
import { chromiumPath } from "../helpers/chromium.ts"
import { foundRun, identity } from "../helpers/runs.ts"
import { resultOfStudy, studiedTopic, studyIdentity } from "../helpers/studies.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-report-"))
const shots = join(import.meta.dirname, "../../.cache/report")
const found = foundRun()
const folders = ["one", "two"].map((name) => join(scratch, name))
/** The first topic's pick is a step above the last coherent coefficient, the second's is that. */
const studied = [
  studiedTopic("<b>bridge</b>", [1, 1, 1, 0.5, 0, 0], [1, 1, 1, 1, 4, 5], [1, 1, 1, 1, 4, 5]),
  studiedTopic("pirate", [1, 1, 1, 0.8, 0, 0], [1, 1, 1, 1, 4, 5], [1, 1, 1, 1, 4, 5]),
]
let browser: Browser

beforeAll(async () => {
  mkdirSync(shots, { recursive: true })
  for (const folder of folders) {
    using run = await openRun(folder, identity)
    run.append(found.curve)
    await run.finish(found)
    if (folder === folders[1]) gradeAll(await openGrades(folder))
    await writeReport(folder)
  }
  await writeComparison(folders, join(scratch, "both"))
  const study = await openStudy(join(scratch, "study"), studyIdentity, { topics: {}, truth: { labels: "labels.json" } })
  for (const topic of studied) await study.add(topic)
  await study.finish(
    resultOfStudy(studied, [{ setting: "tokens", value: "8", methods: resultOfStudy(studied).methods, againstReference: null }]),
  )
  await writeReport(join(scratch, "study"))
  browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox"] })
})

afterAll(async () => {
  await browser?.close()
  rmSync(scratch, { recursive: true, force: true })
})

/** Grades every text of the run, better the less it is steered. */
function gradeAll(store: OpenGrades): void {
  const grading = { grader: "openai", model: "judge", source: "there", concept: "<b>bridge</b>", rubric: "00" }
  const texts = found.curve.flatMap(({ coefficient, completions }) =>
    [...completions.keys()].map((prompt) => ({ coefficient, prompt })),
  )
  store.append(
    texts.flatMap((text) =>
      aspects.map((aspect) => ({
        ...grading,
        ...text,
        aspect,
        rating: 2 - text.coefficient,
        key: JSON.stringify([text, aspect]),
      })),
    ),
  )
  store[Symbol.dispose]()
}

/** A program for the browser, as text: the types of its document are not this project's. */
const LOOK = `({
  width: document.documentElement.scrollWidth,
  back: getComputedStyle(document.body).backgroundColor,
  figure: getComputedStyle(document.querySelector("svg")).backgroundColor,
})`

/** Of a figure: how large its text is on the screen, and which texts reach out of it. */
const TEXTS = `(svg) => {
  const box = svg.getBoundingClientRect()
  const out = (text) => Math.max(box.left - text.left, text.right - box.right, box.top - text.top, text.bottom - box.bottom) > 1
  const texts = [...svg.querySelectorAll("text")]
  return {
    size: (12 * box.width) / svg.viewBox.baseVal.width,
    outside: texts.filter((text) => out(text.getBoundingClientRect())).map((text) => text.textContent),
  }
}`

interface Visit {
  readonly page: Page
  /** Errors, alerts, and requests for anything but the file itself. */
  readonly noise: string[]
}

async function visit(file: string, width: number, colorScheme: "light" | "dark"): Promise<Visit> {
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
  const url = pathToFileURL(join(scratch, file)).href
  const noise: string[] = []
  page.on("console", (message) => noise.push(message.text()))
  page.on("pageerror", (error) => noise.push(error.message))
  page.on("dialog", (dialog) => {
    noise.push(dialog.message())
    void dialog.dismiss()
  })
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) noise.push(request.url())
  })
  await page.goto(url)
  return { page, noise }
}

test.each([
  ["one/report.html", 1000, "light"],
  ["one/report.html", 360, "light"],
  ["one/report.html", 360, "dark"],
  ["both/comparison.html", 1000, "light"],
  ["both/comparison.html", 360, "dark"],
  ["study/report.html", 1000, "light"],
  ["study/report.html", 360, "dark"],
] as const)(
  "%s at %i px, %s, loads nothing else, does not overflow and has the scheme's colours",
  async (file, width, scheme) => {
    const { page, noise } = await visit(file, width, scheme)
    await page.screenshot({ path: join(shots, `${file.replaceAll(/\W/g, "-")}-${width}-${scheme}.png`), fullPage: true })
    const look = await page.evaluate(LOOK)
    const back = scheme === "dark" ? "rgb(22, 24, 29)" : "rgb(255, 255, 255)"
    expect(look).toEqual({ width, back, figure: back })
    expect(noise).toEqual([])
    await page.close()
  },
)

test("the curve has a circle for every coefficient, and texts with HTML in them are shown as they are", async () => {
  const { page } = await visit("one/report.html", 1000, "light")
  for (const one of [".on-wide", ".on-narrow"]) {
    expect(await page.locator(`${one} .rl-points circle`).count()).toBe(found.curve.length)
  }
  expect(await page.locator("script").count()).toBe(0)
  const first = page.locator("article").first().locator("p").first()
  expect(await first.textContent()).toBe("I am <script>alert(1)</script>  <script>alert('x')</script>")
  await page.close()
})

test.each([
  ["one/report.html", 360, "screen", ".on-narrow"],
  ["one/report.html", 640, "screen", ".on-narrow"],
  ["one/report.html", 641, "screen", ".on-wide"],
  ["one/report.html", 360, "print", ".on-wide"],
  ["both/comparison.html", 360, "screen", ".on-narrow"],
  ["both/comparison.html", 1000, "screen", ".on-wide"],
  ["both/comparison.html", 700, "print", ".on-wide"],
] as const)("of %s at %i px on %s the figure %s is shown, whole and legible", async (file, width, media, shown) => {
  const { page } = await visit(file, width, "light")
  await page.emulateMedia({ media })
  for (const one of [".on-wide", ".on-narrow"]) expect(await page.locator(`${one} svg`).isVisible()).toBe(one === shown)
  const texts = (await page.evaluate(`(${TEXTS})(document.querySelector("${shown} svg"))`)) as { size: number; outside: string[] }
  expect(texts.outside).toEqual([])
  // On paper the page is as wide as the paper, not as this window.
  if (media === "screen") expect(texts.size).toBeGreaterThanOrEqual(10)
  await page.close()
})

test.each([
  [1000, ".on-wide"],
  [360, ".on-narrow"],
] as const)("grades stand in a run's report, at %i px whole and legible", async (width, shown) => {
  const { page } = await visit("two/report.html", width, "dark")
  const section = page.locator("section", { has: page.locator("h2", { hasText: "Grades" }) })
  const rows = await section.locator("tbody tr").allTextContents()
  expect(rows).toHaveLength(found.curve.length)
  expect(rows[0]).toMatch(/2\.002\.002\.002\.002best$/)
  expect(await section.locator("figcaption").textContent()).toContain("is the concept «<b>bridge</b>» there")
  expect(await section.locator(`${shown} svg`).isVisible()).toBe(true)
  const figure = `document.querySelector('[aria-label="the grades against the coefficient"]').closest("figure").querySelector("${shown} svg")`
  const texts = (await page.evaluate(`(${TEXTS})(${figure})`)) as { size: number; outside: string[] }
  expect(texts.outside).toEqual([])
  await page.screenshot({ path: join(shots, `grades-${width}.png`), fullPage: true })
  await page.close()
})

test("all prompts' texts are on paper", async () => {
  const { page } = await visit("one/report.html", 700, "dark")
  const second = page.locator("details p").first()
  expect(await second.isVisible()).toBe(false)
  await page.emulateMedia({ media: "print" })
  expect(await second.isVisible()).toBe(true)
  await page.close()
})

test("the figures are PNG too, with a picture in them", () => {
  for (const name of ["curve", "metrics"]) {
    const png = readFileSync(join(folders[0] as string, `${name}.png`))
    expect(png.subarray(1, 4).toString()).toBe("PNG")
    expect(png.byteLength).toBeGreaterThan(10_000)
  }
})

test("a study's report says how the default does, and frames the last coherent cell of every topic", async () => {
  const { page } = await visit("study/report.html", 1000, "light")
  expect(await page.locator("h1").textContent()).toBe(`${defaultCandidate} picks 50 % coherent and gives 0 % of the range away.`)
  expect(await page.locator("h2").allTextContents()).toEqual([
    "Methods",
    "The truth",
    "Topics",
    "The minimum",
    "Coarse, then fine",
    "Sensitivity",
    "Settings",
    "Model, truth, environment",
  ])
  const cells = page.locator('.on-wide svg [aria-label="cell"]')
  expect(await cells.first().locator("rect").count()).toBe(12)
  expect(await cells.nth(1).locator("rect").count()).toBe(2)
  expect(await page.locator("figcaption b").first().textContent()).toBe("<b>bridge</b>")
  const first = page.locator("tbody tr", { hasText: "the default" })
  expect(await first.locator("td").allTextContents()).toEqual(["50 % (0-100)", "0 % (0-0)", "0.5", "0.02", "<b>bridge</b>"])
  await page.close()
})
