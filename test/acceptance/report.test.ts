import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { writeComparison, writeReport } from "../../src/node/report.ts"
import { openRun } from "../../src/node/run-folder.ts"
import { chromiumPath } from "../helpers/chromium.ts"
import { foundRun, identity } from "../helpers/runs.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-report-"))
const shots = join(import.meta.dirname, "../../.cache/report")
const found = foundRun()
const folders = ["one", "two"].map((name) => join(scratch, name))
let browser: Browser

beforeAll(async () => {
  mkdirSync(shots, { recursive: true })
  for (const folder of folders) {
    using run = await openRun(folder, identity)
    run.append(found.curve)
    await run.finish(found)
    await writeReport(folder)
  }
  await writeComparison(folders, join(scratch, "both"))
  browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox"] })
})

afterAll(async () => {
  await browser?.close()
  rmSync(scratch, { recursive: true, force: true })
})

/** A program for the browser, as text: the types of its document are not this project's. */
const LOOK = `({
  width: document.documentElement.scrollWidth,
  back: getComputedStyle(document.body).backgroundColor,
  figure: getComputedStyle(document.querySelector("svg")).backgroundColor,
})`

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
  expect(await page.locator(".wide .rl-points circle").count()).toBe(found.curve.length)
  expect(await page.locator("h1").textContent()).toBe("The redline is 1.")
  expect(await page.locator("script").count()).toBe(0)
  const first = page.locator("article").first().locator("p").first()
  expect(await first.textContent()).toBe("I am <script>alert(1)</script>  <script>alert('x')</script>")
  expect(await first.locator("i").evaluateAll((all) => all.map((i) => i.className))).toEqual(["s1", "s2", "s9"])
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
