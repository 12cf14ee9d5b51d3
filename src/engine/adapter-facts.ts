import "./gpu.ts"

/** Facts about the adapter that a device was opened on. */
export interface AdapterFacts {
  readonly vendor: string
  readonly architecture: string
  readonly device: string
  readonly description: string
  /** True for a software adapter (lavapipe, SwiftShader). */
  readonly software: boolean
  /** Whether kernels may use subgroup operations. */
  readonly subgroups: boolean
  /** Lanes of a subgroup. */
  readonly subgroupMinSize: number
  readonly subgroupMaxSize: number
}

export function adapterFacts(adapter: GPUAdapter): AdapterFacts {
  const { info } = adapter
  return Object.freeze({
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    software: info.isFallbackAdapter,
    subgroups: adapter.features.has("subgroups"),
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
  })
}

/** An adapter in a few words. */
export function adapterName({ description, device, vendor, architecture }: AdapterFacts): string {
  return [description, device, `${vendor} ${architecture}`.trim()].find((text) => text !== "") ?? "an adapter without a name"
}
