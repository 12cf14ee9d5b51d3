import { Device } from "../engine/device.ts"
import { AdapterError, RedlineError } from "../engine/errors.ts"
import { parsePairs } from "../steering/pairs.ts"
import { createBackend } from "./backend.ts"
import { fetchedFolder, type FileCache } from "./fetched-folder.ts"
import type { Connection } from "./protocol.ts"
import type { Site } from "./site.ts"
import { answerMessages, type PagePort } from "./worker-service.ts"

/** The Cache API's store of the site's files. */
interface KeptFiles extends FileCache {
  keys(): Promise<readonly Request[]>
  delete(request: Request): Promise<boolean>
}

/** A worker's globals, as far as they are needed: the types of the project know no browser. */
interface WorkerScope extends PagePort {
  readonly location: { readonly href: string }
  readonly isSecureContext: boolean
  readonly navigator: { readonly gpu?: GPU }
  readonly caches?: { open(name: string): Promise<KeptFiles> }
}

const scope = globalThis as unknown as WorkerScope
const at = (path: string): string => new URL(path, scope.location.href).href

answerMessages(scope, open)

/** The engine on this browser's GPU, with the models of the site that the worker came from. */
async function open(onLost: () => void): Promise<Connection> {
  const [device, site, cache] = await Promise.all([openDevice(), readSite(), openCache()])
  void device.gpu.lost.then(onLost) // as phones do to a page in the background
  if (cache) void forgetOthers(cache, site).catch(() => {})
  const models = site.models.map(({ name, prompt, layers, sha256, files }) => ({
    name,
    prompt,
    layers,
    folder: fetchedFolder(name, at(`models/${name}/`), files, cache),
    sha256: async () => sha256,
  }))
  const pairs = fetchedFolder(
    "pairs",
    at("pairs/"),
    Object.fromEntries(Object.entries(site.pairs).map(([name, file]) => [`${name}.jsonl`, file])),
    cache,
  )
  const vectors = Object.keys(site.pairs).map((name) => ({
    name,
    topic: name,
    pairs: async () => parsePairs((await pairs.readText(`${name}.jsonl`)) as string),
  }))
  return createBackend({ device, models, vectors, versions: { redline: site.version } })
}

async function openDevice(): Promise<Device> {
  const { gpu } = scope.navigator
  if (!gpu) {
    throw new AdapterError(
      scope.isSecureContext
        ? "This page runs the model on your own GPU through WebGPU, which this browser does not offer. Open it in Chrome or Edge 113 or newer, Safari 26, or Firefox 141 on Windows (145 on a Mac)."
        : "This page runs the model on your own GPU through WebGPU, which browsers offer to secure pages alone. Open it over https, or on localhost.",
    )
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" })
  if (!adapter) {
    throw new AdapterError(
      "This browser has WebGPU but gives this page no GPU. Switch on hardware acceleration in its settings, update the GPU's driver, or open the page in another browser; chrome://gpu says more.",
    )
  }
  return Device.from(adapter)
}

async function readSite(): Promise<Site> {
  const url = at("site.json")
  // Asked again at every visit, as it names the versions of all else. (The types of Node.js's fetch know no cache.)
  const response = await fetch(url, { cache: "no-cache" } as RequestInit)
  if (!response.ok)
    throw new RedlineError(`${url}: expected the list of models, found HTTP status ${response.status}; load the page again`)
  return (await response.json()) as Site
}

/** Where files are kept from one visit to the next; nowhere, where the browser forbids it. */
async function openCache(): Promise<KeptFiles | undefined> {
  return scope.caches?.open("redline").catch(() => undefined)
}

/** Drops the files of versions that the site has no more. */
async function forgetOthers(cache: KeptFiles, site: Site): Promise<void> {
  const files = [...site.models.flatMap((model) => Object.values(model.files)), ...Object.values(site.pairs)]
  const known = new Set(files.map(({ sha256 }) => sha256))
  for (const request of await cache.keys()) {
    if (!known.has(new URL(request.url).searchParams.get("sha256") ?? "")) await cache.delete(request)
  }
}
