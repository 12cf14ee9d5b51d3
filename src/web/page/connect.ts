import { httpConnection } from "../http.ts"
import type { Connection } from "../protocol.ts"
import { workerConnection } from "../worker-connection.ts"
import { tokenOf } from "./choices.ts"

/** Set by the build: whether the engine runs in this browser, or behind the server that the page came from. */
declare const IN_BROWSER: boolean

const KEPT = "redline-token"

export function connect(): Connection {
  if (IN_BROWSER) return workerConnection(new Worker("worker.js"))
  // A link with a token that is opened in this tab is of a server that was started anew.
  addEventListener("hashchange", (event) => {
    if (tokenOf(location.hash) === null) return
    event.stopImmediatePropagation()
    location.reload()
  })
  return httpConnection(new URL("api/", document.baseURI), takeToken())
}

/** What a tab keeps; nothing, where the browser forbids it. */
function kept(): Storage | undefined {
  try {
    return sessionStorage
  } catch {
    return undefined
  }
}

/** The token of a link such as `http://host:port/#token=…`: out of the address bar, where it would be shared, into this tab alone. */
function takeToken(): string | undefined {
  const token = tokenOf(location.hash)
  if (token === null) return kept()?.getItem(KEPT) ?? undefined
  const said = new URLSearchParams(location.hash.slice(1))
  said.delete("token")
  kept()?.setItem(KEPT, token)
  history.replaceState(null, "", said.size > 0 ? `#${said}` : location.pathname + location.search)
  return token
}
