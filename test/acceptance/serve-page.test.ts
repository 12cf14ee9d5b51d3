import { join } from "node:path"
import type { Browser } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { openDevice } from "../../src/node/dawn.ts"
import { openModels, readVectors } from "../../src/node/serve-catalogue.ts"
import { readPage } from "../../src/node/serve-page.ts"
import { serve, type Server } from "../../src/node/serve.ts"
import { createBackend } from "../../src/web/backend.ts"
import { launch, shoot, sides, visitDemo } from "../helpers/demo-page.ts"

// The page with the engine behind redline serve, as a visitor with the link uses it.

const root = join(import.meta.dirname, "../..")
const closing: (() => void | PromiseLike<void>)[] = []
let server: Server
let browser: Browser

beforeAll(async () => {
  const names = ["tiny-talk", "tiny-talk-instruct"].map((name) => join(root, "models", name))
  const models = await openModels(names, [3, 4])
  closing.push(() => models[Symbol.asyncDispose]())
  const device = await openDevice()
  closing.push(() => device.dispose())
  const vectors = await readVectors(join(root, "models/tiny-talk/pairs"))
  const engine = createBackend({ device, models: models.sources, vectors, versions: { redline: "1.2.3" } })
  closing.push(() => engine[Symbol.asyncDispose]())
  server = await serve({ engine, page: await readPage(join(root, "dist/web")), host: "127.0.0.1", port: 0, token: "a-token" })
  closing.push(() => server.close())
  browser = await launch(false)
  closing.push(() => browser.close())
})

afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

test("train, search, slide, chat, share and take away", async () => {
  const url = `http://127.0.0.1:${server.port}/`
  const settings = "tokens=12&search-tokens=8&coefficients=0%2C0.1%2C0.3%2C2"
  await using visit = await visitDemo(browser, `${url}#token=a-token&model=tiny-talk&${settings}`)
  const { page, noise } = visit
  const done = (): Promise<void> => page.getByRole("button", { name: "Clear" }).waitFor()

  await page.getByRole("combobox", { name: "Vector" }).selectOption({ label: "from two prompts of mine" })
  await page.getByLabel("More like this").fill("I am talking about a wedding")
  await page.getByLabel("Less like this").fill("I am talking about nothing")
  await page.getByRole("button", { name: "Find the redline" }).click()
  const verdict = page.locator(".verdict")
  await verdict.waitFor()
  expect(await verdict.textContent()).toMatch(/^The redline is 0\.[13]\.$/)
  expect(await page.locator(".curve circle").count()).toBe(4)
  await done()

  await page.getByRole("slider").press("End")
  await page.getByText("beyond the redline").waitFor()
  await done()
  const both = await sides(page)
  expect(both.steered).not.toBe(both.unsteered)
  const SHADES = `[...document.querySelectorAll(".sides article.steered i")].map((token) => token.className)`
  for (const shade of (await page.evaluate(SHADES)) as string[]) expect(shade).toMatch(/^s\d$/)
  await shoot(page, "serve-found")

  const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Vector (.gguf)").click()])
  expect(download.suggestedFilename()).toBe("vector.gguf")

  const end = await page.getByRole("slider").inputValue()
  await expect.poll(() => page.url()).toContain(`&coefficient=${end}`)
  const link = page.url()
  expect(link).not.toContain("token=a-token")
  await using other = await visitDemo(browser, link.replace("#", "#token=a-token&"))
  await other.page.getByRole("button", { name: "Generate" }).click()
  await other.page.getByRole("button", { name: "Clear" }).waitFor()
  expect(await sides(other.page)).toEqual(both)

  await page.getByRole("combobox", { name: "Model" }).selectOption("tiny-talk-instruct")
  for (const [i, message] of ["Hello! Who are you?", "Tell me a story about Hugo."].entries()) {
    await page.getByLabel(/essage to both/).fill(message)
    await page.keyboard.press("Enter")
    await page.locator(".turn").nth(i).waitFor()
    await done()
  }
  expect(await page.locator(".turn").count()).toBe(2)
  expect((await sides(page)).unsteered).not.toBe("")
  await shoot(page, "serve-chat")
  expect([...noise, ...other.noise]).toEqual([])
})

test("without the token the page says what to do", async () => {
  await using visit = await visitDemo(browser, `http://127.0.0.1:${server.port}/`)
  await visit.page.getByRole("button", { name: "Try again" }).waitFor()
  const said = await visit.page.getByRole("alert").innerText()
  expect(said).toBe("token: expected the server's, found none; open the address that redline serve printed")
})
