import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type Browser, chromium, type Page } from "playwright-core"
import { chromiumPath } from "./chromium.ts"

/** Where screenshots of the demo are kept. */
const shots = join(import.meta.dirname, "../../.cache/demo")

/** Chromium with a software WebGPU; without it where `webgpu` is false. */
export function launch(webgpu = true): Promise<Browser> {
  mkdirSync(shots, { recursive: true })
  const gpu = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
  return chromium.launch({
    executablePath: chromiumPath(),
    args: ["--headless=new", "--no-sandbox", "--host-resolver-rules=MAP somewhere.test 127.0.0.1", ...(webgpu ? gpu : [])],
  })
}

export interface DemoVisit extends AsyncDisposable {
  readonly page: Page
  /** Messages on the console, uncaught errors, and requests to other hosts: there should be none. */
  readonly noise: string[]
}

/**
 * Opens a page of the demo in a context of its own, as a first visitor does.
 * @param before A program for the browser that runs before the page's own.
 */
export async function visitDemo(browser: Browser, url: string, before?: string): Promise<DemoVisit> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 } })
  const page = await context.newPage()
  if (before !== undefined) await page.addInitScript(before)
  const noise: string[] = []
  page.on("console", (message) => noise.push(message.text()))
  page.on("pageerror", (error) => noise.push(error.message))
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host && !/^(data|blob):/.test(request.url())) noise.push(request.url())
  })
  await page.goto(url)
  return { page, noise, [Symbol.asyncDispose]: () => context.close() }
}

export const shoot = async (page: Page, name: string): Promise<void> => {
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true })
}

/** A program for the browser, as text: whether anything is wider than the window, and the colours of the page. */
export const LOOK = `({
  wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  back: getComputedStyle(document.body).backgroundColor,
})`

/** The text of each side's last answer. */
export async function sides(page: Page): Promise<{ unsteered: string; steered: string }> {
  const turn = page.locator(".turn").last()
  const text = async (side: string): Promise<string> => (await turn.locator(`article.${side} i`).allTextContents()).join("")
  return { unsteered: await text("unsteered"), steered: await text("steered") }
}

/** A program for the browser: the slider is dragged to a coefficient in 50 steps, faster than the page is drawn. */
export const drag = (to: number): string => `{
  const slider = document.querySelector("#coefficient")
  for (let i = 1; i <= 50; i++) {
    slider.value = (${to} * i) / 50
    slider.dispatchEvent(new Event("input", { bubbles: true }))
  }
}`
