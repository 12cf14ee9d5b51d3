import { createHash, timingSafeEqual } from "node:crypto"
import { isIP } from "node:net"
import { hostname } from "node:os"
import type { Context, MiddlewareHandler } from "hono"

export interface GuardOptions {
  /** The address that the server listens on. */
  readonly host: string
  /** Without it anyone who reaches the server may ask. */
  readonly token: string | undefined
}

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "::1"])
const ANY: ReadonlySet<string> = new Set(["0.0.0.0", "::"])

/** A refusal, as the event that the page shows. */
export function refuse(context: Context, status: 400 | 401 | 403 | 404 | 413 | 500 | 503, message: string): Response {
  return context.json({ type: "failed", message, bad: status < 500 }, status)
}

/**
 * Turns away what other pages in a visitor's browser could send: a request by another host's name (DNS rebinding), or from
 * another origin.
 */
export function guardOrigin(options: Pick<GuardOptions, "host">): MiddlewareHandler {
  // As browsers write it: 127.0.0.1 for 127.1, ::1 for 0:0:0:0:0:0:0:1.
  const host = nameOf(isIP(options.host) === 6 ? `[${options.host}]` : options.host)
  return async (context, next) => {
    const given = context.req.header("host") ?? ""
    if (!isOwnName(nameOf(given), host)) {
      const expected = ANY.has(host) ? `localhost, ${hostname()} or an IP address` : isLoopback(host) ? "localhost" : host
      return refuse(context, 403, `Host: expected ${expected}, found «${given}»; open the address that redline serve printed`)
    }
    const origin = context.req.header("origin")
    if (origin === undefined || hostOf(origin) === given.toLowerCase()) return next()
    return refuse(context, 403, `Origin: expected this server's own page, found «${origin}»; open ${given} itself`)
  }
}

/** Asks for the token, where there is one. */
export function guardToken({ token }: Pick<GuardOptions, "token">): MiddlewareHandler {
  return async (context, next) => {
    if (token === undefined) return next()
    const given = /^Bearer (.+)$/i.exec(context.req.header("authorization") ?? "")?.[1]
    if (given !== undefined && timingSafeEqual(digest(given), digest(token))) return next()
    const found = given === undefined ? "none" : "another"
    return refuse(context, 401, `token: expected the server's, found ${found}; open the address that redline serve printed`)
  }
}

/** Whether only this machine reaches an address. */
export const isLoopback = (host: string): boolean => LOOPBACK.has(host.toLowerCase())

/**
 * Whether a server that listens on `host` goes by this name. The port is not looked at: a tunnel may have another one. Where it
 * listens on all addresses, any of them is its own: rebinding needs a name.
 */
function isOwnName(name: string, host: string): boolean {
  if (name === "") return false
  if (name === host.toLowerCase()) return true
  if (isLoopback(host)) return LOOPBACK.has(name)
  return ANY.has(host) && (isIP(name) !== 0 || name === "localhost" || name === hostname().toLowerCase())
}

/** The name in a Host header, without port and an address' brackets; nothing where it is none. */
function nameOf(header: string): string {
  const url = parsed(`http://${header}`)
  return url?.pathname === "/" && url.username === "" ? url.hostname.replace(/^\[|\]$/g, "") : ""
}

/** The host and port of an origin; nothing where it is none, such as «null». */
const hostOf = (origin: string): string => parsed(origin)?.host ?? ""

const parsed = (url: string): URL | undefined => (URL.canParse(url) ? new URL(url) : undefined)

/** Equal lengths, whatever was given: comparing takes the same time. */
const digest = (text: string): Buffer => createHash("sha256").update(text).digest()
