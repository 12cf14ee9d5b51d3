import type { SiteFile } from "./fetched-folder.ts"

/** What a static site holds, as its build writes it into site.json. Addresses are relative to that file. */
export interface Site {
  readonly version: string
  /** In the folders models/NAME. */
  readonly models: readonly SiteModel[]
  /** Contrast pairs in the files pairs/NAME.jsonl. */
  readonly pairs: Readonly<Record<string, SiteFile>>
}

export interface SiteModel {
  readonly name: string
  /** To begin with. */
  readonly prompt: string
  /** Where to steer unless told. */
  readonly layers: readonly number[]
  /** Of its files, as records of runs say it. */
  readonly sha256: string
  readonly files: Readonly<Record<string, SiteFile>>
  /** Trained vectors of the pairs, in the files vectors/NAME.safetensors of the model's folder. */
  readonly vectors: Readonly<Record<string, SiteFile>>
}
