import { httpConnection } from "../http.ts"
import type { Connection } from "../protocol.ts"
import { workerConnection } from "../worker-connection.ts"

/** Set by the build: whether the engine runs in this browser, or behind the server that the page came from. */
declare const IN_BROWSER: boolean

const KEPT = "redline-token"

export function connect(): Connection {
  if (IN_BROWSER) return workerConnection(new Worker("worker.js"))
  return httpConnection(new URL("api/", document.baseURI), takeToken())
}

/** The token of a link such as `http://host:port/#token=…`: out of the address bar, where it would be shared, into this tab alone. */
function takeToken(): string | undefined {
  const said = new URLSearchParams(location.hash.slice(1))
  const token = said.get("token")
  if (token === null) return sessionStorage.getItem(KEPT) ?? undefined
  said.delete("token")
  sessionStorage.setItem(KEPT, token)
  history.replaceState(null, "", said.size > 0 ? `#${said}` : location.pathname + location.search)
  return token
}
