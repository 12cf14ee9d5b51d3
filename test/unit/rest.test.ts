import { expect, test } from "vitest"
import { Rest } from "../../src/node/rest.ts"

/** Turns of the event loop in so many milliseconds. */
async function turns(milliseconds: number): Promise<number> {
  const end = performance.now() + milliseconds
  let count = 0
  for (; performance.now() < end; count++) await new Promise((resolve) => setImmediate(resolve))
  return count
}

test("the event loop turns once in a millisecond while a result is awaited, several of them too, and freely after it", async () => {
  const rest = new Rest()
  let arrive = (): void => {}
  let fail = (_error: Error): void => {}
  rest.during(new Promise<void>((resolve) => (arrive = resolve)))
  rest.during(new Promise<void>((_resolve, reject) => (fail = reject)))
  expect(await turns(40)).toBeLessThan(50)
  arrive()
  expect(await turns(40)).toBeLessThan(50)
  fail(new Error("lost"))
  await expect.poll(() => turns(40)).toBeGreaterThan(400)
  rest.during(new Promise(() => {}))
  expect(await turns(40)).toBeLessThan(50)
})
