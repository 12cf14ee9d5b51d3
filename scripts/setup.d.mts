interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>
}

type OsRelease = Readonly<Record<string, string>>

export function isStale(wanted: Lockfile, installed: Lockfile): boolean
export function isNodeTooOld(version: string): boolean
export function parseOsRelease(text: string): OsRelease
export function backportsSource(aptTargets: string): string | undefined
export function adapterHelp(machine: {
  readonly platform: string
  readonly os: OsRelease
  readonly isRoot: boolean
  readonly source: string | undefined
}): string
