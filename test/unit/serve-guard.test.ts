import { hostname } from "node:os"
import { Hono } from "hono"
import { describe, expect, test } from "vitest"
import { guardOrigin, guardToken } from "../../src/node/serve-guard.ts"

async function status(app: Hono, headers: Record<string, string>): Promise<number> {
  app.get("*", (context) => context.text("in"))
  return (await app.request("/", { headers })).status
}

const own = { host: "127.0.0.1:8080" }

describe("Host and Origin", () => {
  test.each<[listens: string, headers: Record<string, string>, status: number]>([
    ["127.0.0.1", own, 200],
    ["127.0.0.1", { host: "localhost:8080" }, 200],
    ["127.0.0.1", { host: "LOCALHOST:8080" }, 200],
    ["127.0.0.1", { host: "[::1]:8080" }, 200],
    ["127.0.0.1", { host: "localhost:9000", origin: "http://localhost:9000" }, 200], // through a tunnel
    ["127.0.0.1", { host: "localhost.evil.example:8080" }, 403],
    ["127.0.0.1", { host: "evil.example" }, 403],
    ["127.0.0.1", { host: "192.168.0.7:8080" }, 403],
    ["127.0.0.1", { host: "user@localhost:8080" }, 403],
    ["127.0.0.1", { host: "localhost:8080/path" }, 403],
    ["127.0.0.1", { host: "" }, 403],
    ["127.0.0.1", { ...own, origin: "http://127.0.0.1:8080" }, 200],
    ["127.0.0.1", { ...own, origin: "http://127.0.0.1:8081" }, 403],
    ["127.0.0.1", { ...own, origin: "http://localhost:8080" }, 403],
    ["127.0.0.1", { ...own, origin: "https://evil.example" }, 403],
    ["127.0.0.1", { ...own, origin: "null" }, 403],
    ["192.168.0.7", { host: "192.168.0.7:8080" }, 200],
    ["192.168.0.7", { host: "localhost:8080" }, 403],
    ["0.0.0.0", { host: "192.168.0.7:8080" }, 200],
    ["0.0.0.0", { host: "localhost:8080" }, 200],
    ["0.0.0.0", { host: `${hostname()}:8080` }, 200],
    ["0.0.0.0", { host: "evil.example" }, 403],
    ["::", { host: "[fe80::1]:8080" }, 200],
    ["127.1", own, 200],
    ["127.1", { host: "evil.example" }, 403],
    ["0", { host: "192.168.0.7:8080" }, 200],
    ["0:0:0:0:0:0:0:1", { host: "[::1]:8080" }, 200],
    ["2001:DB8::0:1", { host: "[2001:db8::1]:8080" }, 200],
    ["2001:DB8::0:1", { host: "[2001:db8::2]:8080" }, 403],
  ])("on %s a request with %j gets %d", async (host, headers, expected) => {
    expect(await status(new Hono().use(guardOrigin({ host })), headers)).toBe(expected)
  })
})

describe("the token", () => {
  test.each<[token: string | undefined, authorization: string | undefined, status: number]>([
    [undefined, undefined, 200],
    ["secret", "Bearer secret", 200],
    ["secret", "bearer secret", 200],
    ["secret", undefined, 401],
    ["secret", "Bearer ", 401],
    ["secret", "Bearer secre", 401],
    ["secret", "Bearer secret2", 401],
    ["secret", "Basic secret", 401],
  ])("%s, given %s, gets %d", async (token, authorization, expected) => {
    const headers = authorization === undefined ? {} : { authorization }
    expect(await status(new Hono().use(guardToken({ token })), headers as Record<string, string>)).toBe(expected)
  })
})
