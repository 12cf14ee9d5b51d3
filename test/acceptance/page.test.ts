import { readFileSync } from "node:fs"
import { join } from "node:path"
import { unzipSync } from "fflate"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { drag, LOOK, launch, shoot, sides, visitDemo } from "../helpers/demo-page.ts"
import { answering, catalogue, found, generating, pieces, searching } from "../helpers/demo-scripts.ts"
import { pause, type Script, type ScriptedEngine, scriptedEngine } from "../helpers/scripted-engine.ts"

// What the page does with what an engine says, whatever the engine: here it says what it is told to.

const dist = join(import.meta.dirname, "../../dist/web")
let browser: Browser

beforeAll(async () => {
  browser = await launch(false)
})
afterAll(() => browser?.close())

const SEARCH_STEPS = [
  ["Waiting for the engine", "2 ahead"],
  ["Loading tiny", "4.0 of 11.0 MB"],
  ["Training the vector", "16 of 64 texts"],
  ["Searching", "3 of 7 coefficients"],
] as const

const LOOKS = [
  [1100, "light"],
  [1100, "dark"],
  [360, "dark"],
  [360, "light"],
] as const

const generateAgain = (page: Page): Promise<void> => page.getByRole("button", { name: "Generate" }).click()

test("a search is visible from the queue to the redline, the slider then stands there, and every screen shows it whole", async () => {
  let go = (): void => {}
  const find = searching(() => new Promise((resolve) => (go = resolve)))
  await using engine = await scriptedEngine(dist, { catalogue, find, generate: generating })
  await using visit = await visitDemo(browser, engine.url)
  const { page, noise } = visit
  await page.getByRole("button", { name: "Find the redline" }).click()
  for (const [doing, detail] of SEARCH_STEPS) {
    await page.getByText(doing).waitFor()
    await page.getByText(detail).waitFor()
    go()
  }
  await expect.poll(() => page.locator(".curve circle").count()).toBe(4)
  await expect.poll(() => page.locator(".texts h3 button").allTextContents()).toEqual(["0", "0.4", "0.8", "1.2"])
  await expect.poll(() => page.locator(".texts article").first().locator("> p").textContent()).toContain("bridge is <b>old</b>.")
  await shoot(page, "searching")
  go()
  await page.getByText("The redline is 0.8.").waitFor()
  const slider = page.getByRole("slider")
  await expect.poll(() => slider.getAttribute("aria-valuetext")).toBe("0.8, up to the redline")
  const TRACK = `getComputedStyle(document.querySelector(".track")).getPropertyValue("--track")`
  await expect.poll(() => page.evaluate(TRACK)).toContain("gradient")
  // The texts at the redline are made without being asked for.
  await expect.poll(() => sides(page)).toEqual({ unsteered: pieces.join(""), steered: pieces.join("") })
  expect(engine.asked.at(-1)).toMatchObject({ kind: "generate", request: { coefficient: 0.8, vector: { name: "bridge" } } })
  await expect.poll(() => page.locator(".sides article.steered i").last().getAttribute("class")).toBe("s4")
  expect(await page.locator(".sides article.steered i").last().getAttribute("title")).toBe("−3.20 nats")
  for (const [width, colorScheme] of LOOKS) {
    await page.setViewportSize({ width, height: 800 })
    await page.emulateMedia({ colorScheme })
    const back = colorScheme === "dark" ? "rgb(22, 24, 29)" : "rgb(255, 255, 255)"
    await expect.poll(() => page.evaluate(LOOK)).toEqual({ wider: 0, back })
    await shoot(page, `found-${width}-${colorScheme}`)
  }
  expect(noise).toEqual([])
})

/** Longer than the slider must rest before it asks for texts. */
const RESTED = 400

test("moving the slider stops the former texts, and asks once when it rests, unless they were cleared", async () => {
  const endless: Script = async (_request, send, gone) => {
    while (!gone.aborted) {
      send({ type: "token", side: "steered", piece: " and" })
      await pause(20, gone)
    }
  }
  await using engine = await scriptedEngine(dist, { catalogue, generate: endless })
  await using visit = await visitDemo(browser, engine.url)
  const { page } = visit
  await generateAgain(page)
  await expect.poll(async () => (await sides(page)).steered).toContain(" and and")
  await page.getByRole("slider").focus()
  for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight")
  await expect.poll(() => engine.asked.length).toBe(3)
  await expect.poll(() => engine.asked[1]).toMatchObject({ request: { coefficient: 0 }, gone: true })
  expect(engine.asked[2]).toMatchObject({ request: { coefficient: 0.1 }, gone: false })
  await expect.poll(async () => (await sides(page)).steered).toContain(" and")
  await page.getByRole("button", { name: "Stop" }).click()
  await expect.poll(() => engine.asked[2]?.gone).toBe(true)
  await expect.poll(() => page.getByRole("button", { name: "Stop" }).count()).toBe(0)
  await page.evaluate(`{ ${drag(1)}; [...document.querySelectorAll("button")].find((one) => one.innerText === "Clear").click() }`)
  await expect.poll(() => page.locator(".turn").count()).toBe(0)
  await page.waitForTimeout(RESTED)
  expect(engine.asked.length).toBe(3)
})

test("what goes wrong is said where it was asked for, and an engine that is away can be asked again", async () => {
  const message = "prompts: expected at most 4, found 5; leave one out"
  const engine = await scriptedEngine(dist, {
    catalogue,
    find: (_request, send) => send({ type: "failed", message, bad: true }),
  })
  await using visit = await visitDemo(browser, engine.url)
  const { page } = visit
  await page.getByRole("button", { name: "Find the redline" }).click()
  const problem = page.getByRole("region", { name: "Find the redline" }).getByRole("alert").filter({ hasText: /./ })
  expect(await problem.textContent()).toBe(message)
  await page.getByText("Search settings").click()
  await page.getByLabel("Coefficients").fill("0:1")
  await page.getByRole("button", { name: "Find the redline" }).click()
  await expect.poll(() => problem.last().textContent()).toContain("coefficients: expected start:end:step")
  await page.getByRole("combobox", { name: "Vector" }).selectOption("")
  await page.getByRole("button", { name: "Find the redline" }).click()
  await expect.poll(() => problem.last().textContent()).toContain("Type both a positive and a negative prompt")
  await shoot(page, "problem")
  await page.getByRole("combobox", { name: "Vector" }).selectOption("bridge")
  await engine[Symbol.asyncDispose]()
  await generateAgain(page)
  await page.getByText("the server does not answer; see whether «redline serve» still runs, then try again").waitFor()
})

test("a link holds every choice, and a token in it does not stay in the address", async () => {
  await using engine = await scriptedEngine(dist, { catalogue, generate: generating })
  const link =
    "#token=secret&model=tiny-chat&positive=I+am+happy&negative=I+am+sad&layers=2%2C3&search=One&search=Two&coefficients=0%3A1%3A0.5&search-tokens=8&chat=no&prompt=These+days&coefficient=1.5&where=generated&tokens=12&temperature=0.5"
  await using visit = await visitDemo(browser, engine.url + link)
  const { page } = visit
  await generateAgain(page)
  await expect.poll(() => engine.asked.length).toBe(2)
  expect(engine.asked[1]).toMatchObject({
    authorization: "Bearer secret",
    request: {
      model: "tiny-chat",
      vector: { positive: "I am happy", negative: "I am sad" },
      layers: [2, 3],
      coefficient: 1.5,
      where: "generated",
      input: { prompt: "These days" },
      tokens: 12,
      temperature: 0.5,
    },
  })
  expect(page.url()).toBe(engine.url + link.replace("token=secret&", ""))
  await page.getByRole("spinbutton", { name: "Tokens", exact: true }).fill("13")
  await page.keyboard.press("Tab")
  await expect.poll(() => page.url()).toBe(engine.url + link.replace("token=secret&", "").replace("tokens=12", "tokens=13"))
  await page.getByRole("button", { name: "Find the redline" }).click()
  await expect
    .poll(() => engine.asked.find(({ kind }) => kind === "find"))
    .toMatchObject({
      authorization: "Bearer secret",
      request: { prompts: ["One", "Two"], coefficients: [0, 0.5, 1], tokens: 8, chat: false },
    })
})

async function say(page: Page, message: string): Promise<void> {
  await page.getByLabel(/essage to both/).fill(message)
  await page.keyboard.press("Enter")
}

test("in a chat each side has its own history, what is not answered goes back to be sent again, and a conversation has an end", async () => {
  let times = 0
  const generate: Script = async (request, send, gone) => {
    times++
    if (times === 1) send({ type: "failed", message: "out of memory", bad: false })
    else if (times === 2) await new Promise((resolve) => gone.addEventListener("abort", resolve))
    else await answering(request, send, gone)
  }
  await using engine = await scriptedEngine(dist, { catalogue, generate })
  await using visit = await visitDemo(browser, `${engine.url}#model=tiny-chat`)
  const { page } = visit
  const box = page.getByLabel("Message to both")
  await say(page, "Hello")
  await page.getByText("out of memory").waitFor()
  await expect.poll(() => box.inputValue()).toBe("Hello")
  await page.getByRole("button", { name: "Send" }).click()
  await expect.poll(() => times).toBe(2)
  await page.getByRole("button", { name: "Stop" }).click()
  await expect.poll(() => box.inputValue()).toBe("Hello")
  await page.getByRole("button", { name: "Send" }).click()
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 1", steered: "steered 1" })
  await say(page, "And now?")
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 3", steered: "steered 3" })
  const history = (side: string): object[] => [
    { role: "user", content: "Hello" },
    { role: "assistant", content: `${side} 1` },
    { role: "user", content: "And now?" },
  ]
  expect(engine.asked.at(-1)?.request["input"]).toEqual({ unsteered: history("unsteered"), steered: history("steered") })
  await page.getByText("The conversation is as long as it may be").waitFor()
  await shoot(page, "chat")
  await page.getByRole("button", { name: "Clear" }).click()
  await expect.poll(() => page.locator(".turn").count()).toBe(0)
})

test("a redline that is found leaves alone what is being answered, and redoes what was", async () => {
  let [end, answer] = [(): void => {}, (): void => {}]
  const find: Script = async (_request, send) => {
    await new Promise<void>((resolve) => (end = resolve))
    send(found)
  }
  const generate: Script = async (request, send, gone) => {
    void answering(request, send, gone)
    await new Promise<void>((resolve) => (answer = resolve))
    send({ type: "done" })
  }
  await using engine = await scriptedEngine(dist, { catalogue, find, generate })
  await using visit = await visitDemo(browser, `${engine.url}#model=tiny-chat`)
  const { page } = visit
  const clear = page.getByRole("button", { name: "Clear" })
  const search = async (): Promise<void> => {
    const { length } = engine.asked
    await page.getByRole("button", { name: "Find the redline" }).click()
    await expect.poll(() => engine.asked.length).toBe(length + 1)
  }
  await say(page, "Hello")
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 1", steered: "steered 1" })
  answer()
  await clear.waitFor()
  await search()
  await say(page, "And now?")
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 3", steered: "steered 3" })
  end()
  await expect.poll(() => page.getByRole("slider").getAttribute("aria-valuetext")).toBe("0.8, up to the redline")
  await page.waitForTimeout(RESTED)
  expect(engine.asked.at(-1)).toMatchObject({ kind: "generate", request: { coefficient: 0 }, gone: false })
  answer()
  await clear.waitFor()
  await search()
  end()
  const said = [{ content: "Hello" }, { content: "steered 1" }, { content: "And now?" }]
  await expect.poll(() => engine.asked.at(-1)).toMatchObject({ request: { coefficient: 0.8, input: { steered: said } } })
  await page.getByText("steered × 0.8").waitFor()
  expect(await page.locator(".message").allTextContents()).toEqual(["Hello", "And now?"])
})

test("the address is written when the slider rests, and where the browser refuses that, all else goes on", async () => {
  await using engine = await scriptedEngine(dist, { catalogue, generate: generating })
  const FEW = `
    const write = history.replaceState.bind(history)
    window.left = 1
    history.replaceState = (...args) => {
      if (window.left-- <= 0) throw new DOMException("too many", "SecurityError")
      write(...args)
    }
    navigator.clipboard.writeText = async (text) => void (window.copied = text)`
  await using visit = await visitDemo(browser, engine.url, FEW)
  const { page, noise } = visit
  await page.getByRole("slider").waitFor()
  for (const coefficient of [1, 0.5]) {
    await page.evaluate(drag(coefficient))
    await page.getByRole("button", { name: "Copy the link" }).click()
    await expect
      .poll(() => page.evaluate("window.copied"))
      .toBe(`${engine.url}#model=tiny&vector=bridge&coefficient=${coefficient}`)
    await expect.poll(() => engine.asked.at(-1)?.request["coefficient"]).toBe(coefficient)
    if (coefficient === 1) await expect.poll(() => page.url()).toBe(await page.evaluate("window.copied"))
  }
  await expect.poll(() => page.evaluate("window.left")).toBe(-1)
  expect(engine.asked).toHaveLength(3)
  expect(page.url()).toContain("coefficient=1")
  expect(noise).toEqual([])
})

test("a link to another vector that is opened in the same tab ends what was about the former", async () => {
  const find: Script = (_request, _send, gone) => new Promise((resolve) => gone.addEventListener("abort", () => resolve()))
  await using engine = await scriptedEngine(dist, { catalogue, find, generate: answering })
  const link = `${engine.url}#model=tiny-chat&vector=`
  await using visit = await visitDemo(browser, `${link}bridge`)
  const { page } = visit
  await say(page, "Hello")
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 1", steered: "steered 1" })
  await page.getByRole("button", { name: "Find the redline" }).click()
  await expect.poll(() => engine.asked.at(-1)?.kind).toBe("find")
  // The choices before may be written to the address between the link's opening and the page's hearing of it.
  const before = page.url()
  await page.evaluate(`location.href = "${link}pirate&coefficient=0.5"; history.replaceState(null, "", "${before}")`)
  await expect.poll(() => engine.asked.at(-1)?.gone).toBe(true)
  await expect.poll(() => page.locator(".turn").count()).toBe(0)
  await say(page, "Ahoy")
  await expect.poll(() => sides(page)).toEqual({ unsteered: "unsteered 1", steered: "steered 1" })
  expect(engine.asked.at(-1)?.request).toMatchObject({ vector: { name: "pirate" }, coefficient: 0.5 })
})

test("a new token that is opened in the same tab is taken, and none is kept where the browser forbids it", async () => {
  await using engine: ScriptedEngine = await scriptedEngine(dist, {
    catalogue: (request, send, gone) =>
      engine.asked.at(-1)?.authorization === "Bearer new"
        ? catalogue(request, send, gone)
        : send({ type: "failed", message: "another token", bad: true }),
  })
  const BLOCKED = `Object.defineProperty(window, "sessionStorage", { get() { throw new DOMException("no", "SecurityError") } })`
  await using visit = await visitDemo(browser, engine.url, BLOCKED)
  const { page, noise } = visit
  await page.getByText("another token").waitFor()
  await page.goto(`${engine.url}#token=new&vector=pirate`)
  await expect.poll(() => page.getByRole("combobox", { name: "Vector" }).inputValue()).toBe("pirate")
  expect(page.url()).toBe(`${engine.url}#vector=pirate`)
  expect(noise).toEqual([])
})

test("the vector and the run can be taken away", async () => {
  const base64 = Buffer.from([0, 1, 254, 255]).toString("base64")
  await using engine = await scriptedEngine(dist, {
    catalogue,
    find: searching(() => Promise.resolve()),
    vector: ({ format }, send) => send({ type: "vector", file: `bridge.${String(format)}`, base64 }),
  })
  await using visit = await visitDemo(browser, engine.url)
  const { page } = visit
  const take = async (button: string): Promise<{ name: string; bytes: Uint8Array }> => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()])
    return { name: download.suggestedFilename(), bytes: Uint8Array.from(readFileSync(await download.path())) }
  }
  const bytes = Uint8Array.of(0, 1, 254, 255)
  expect(await take("Vector (.safetensors)")).toEqual({ name: "bridge.safetensors", bytes })
  expect(await take("Vector (.gguf)")).toEqual({ name: "bridge.gguf", bytes })
  expect(await page.getByRole("button", { name: "Run (.zip)" }).isDisabled()).toBe(true)
  await page.getByRole("button", { name: "Find the redline" }).click()
  await page.getByText("The redline is 0.8.").waitFor()
  const run = await take("Run (.zip)")
  const files = Object.entries(unzipSync(run.bytes)).map(([name, text]) => [name, Buffer.from(text).toString()])
  expect(Object.fromEntries(files)).toEqual(found.files)
})

test("everything is reached and done by keyboard, and what has the focus is outlined", async () => {
  await using engine = await scriptedEngine(dist, { catalogue, find: searching(() => Promise.resolve()), generate: generating })
  await using visit = await visitDemo(browser, engine.url)
  const { page } = visit
  await page.getByRole("combobox", { name: "Model" }).waitFor()
  const FOCUS = `(() => {
    const { tagName, type, textContent, ariaLabel } = document.activeElement
    const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
    return { what: type === "range" ? "slider" : tagName === "BUTTON" ? textContent.trim() : ariaLabel ?? tagName, outline: outlineStyle + " " + outlineWidth }
  })()`
  const tabTo = async (wanted: string): Promise<void> => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab")
      const { what, outline } = (await page.evaluate(FOCUS)) as { what: string; outline: string }
      expect(`${what}: ${outline}`).toBe(`${what}: solid 3px`)
      if (what === wanted) return
    }
    throw new Error(`60 tabs did not lead to ${wanted}`)
  }
  await tabTo("Find the redline")
  await page.keyboard.press("Enter")
  await page.getByText("The redline is 0.8.").waitFor()
  await tabTo("1.2")
  await page.keyboard.press("Enter")
  await expect.poll(() => engine.asked.at(-1)?.request["coefficient"]).toBe(1.2)
  await tabTo("slider")
  await page.keyboard.press("Home")
  await expect.poll(() => engine.asked.at(-1)?.request["coefficient"]).toBe(0)
  await tabTo("Generate")
  await page.keyboard.press("Enter")
  await page.keyboard.press("Shift+Tab")
  expect(((await page.evaluate(FOCUS)) as { what: string }).what).toBe("TEXTAREA")
})
