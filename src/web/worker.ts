import type { Folder } from "../engine/bytes.ts"
import { RedlineError } from "../engine/errors.ts"
import { readVector } from "../steering/vector-file.ts"
import { parsePairs } from "../steering/pairs.ts"
import { createBackend } from "./backend.ts"
import { type BrowserScope, openBrowserDevice } from "./browser-device.ts"
import { fetchedFolder, type FileCache, type SiteFile } from "./fetched-folder.ts"
import type { Connection } from "./protocol.ts"
import type { Site } from "./site.ts"
import { answerMessages, type PagePort } from "./worker-service.ts"

/** The Cache API's store of the site's files. */
interface KeptFiles extends FileCache {
  keys(): Promise<readonly Request[]>
  delete(request: Request): Promise<boolean>
}

/** A worker's globals, as far as they are needed: the types of the project know no browser. */
interface WorkerScope extends PagePort, BrowserScope {
  readonly location: { readonly href: string }
  readonly caches?: { open(name: string): Promise<KeptFiles> }
}

const scope = globalThis as unknown as WorkerScope
const at = (path: string): string => new URL(path, scope.location.href).href

answerMessages(scope, open)

/** The engine on this browser's GPU, with the models of the site that the worker came from. */
async function open(onLost: () => void): Promise<Connection> {
  const [device, site, cache] = await Promise.all([openBrowserDevice(scope), readSite(), openCache()])
  void device.gpu.lost.then(onLost) // as phones do to a page in the background
  if (cache) void forgetOthers(cache, site).catch(() => {})
  const folderOf = (path: string, files: Readonly<Record<string, SiteFile>>): Folder =>
    fetchedFolder(path, at(`${path}/`), files, cache)
  const models = site.models.map(({ name, prompt, layers, sha256, files }) => {
    const folder = { ...folderOf(`models/${name}`, files), name }
    return { name, prompt, layers, folder, sha256: async () => sha256 }
  })
  const pairs = folderOf("pairs", named(site.pairs, ".jsonl"))
  const trained = new Map(
    site.models.map(({ name, vectors }) => [name, folderOf(`models/${name}/vectors`, named(vectors, ".safetensors"))]),
  )
  const vectors = Object.keys(site.pairs).map((topic) => ({
    name: topic,
    topic,
    pairs: async () => parsePairs((await pairs.readText(`${topic}.jsonl`)) ?? ""),
    async trained(model: string) {
      const file = await trained.get(model)?.open(`${topic}.safetensors`)
      return file && readVector(file)
    },
  }))
  return createBackend({ device, models, vectors, versions: { redline: site.version } })
}

const named = (files: Readonly<Record<string, SiteFile>>, ending: string): Record<string, SiteFile> =>
  Object.fromEntries(Object.entries(files).map(([name, file]) => [name + ending, file]))

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
  const files = [site.pairs, ...site.models.flatMap((model) => [model.files, model.vectors])].flatMap(Object.values<SiteFile>)
  const known = new Set(files.map(({ sha256 }) => sha256))
  for (const request of await cache.keys()) {
    if (!known.has(new URL(request.url).searchParams.get("sha256") ?? "")) await cache.delete(request)
  }
}
