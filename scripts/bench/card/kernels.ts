import { spread } from "../../../src/kernels/grid.ts"
import type { Kernel } from "../../../src/kernels/kernel.ts"

// What a card is measured with. Nothing of the forward pass runs here, and nothing here is part of it.

const LANES = 256
/** Neighbouring vectors of 16 bytes that a lane of `read` adds up. */
const VECTORS = 8
const GROUP = "let group = g.y * groups.x + g.x;"
const HEAD = `@compute @workgroup_size(${LANES})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32)`

/** What {@link pattern} writes at word `i`. */
export const patternAt = (i: number): number => Math.imul(i, 0x9e3779b1) >>> 0

/** Words in vectors of four. */
interface Words {
  readonly vectors: number
}

const overVectors = (perGroup: number) => ({
  parameters: ({ vectors }: Words) => [vectors],
  grid: ({ vectors }: Words) => spread(Math.ceil(vectors / perGroup)),
  constants: {},
})

/** out[i] = {@link patternAt}(i) */
export const pattern: Kernel<Words> = {
  label: "bench pattern",
  code: `@group(0) @binding(0) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(1) var<uniform> vectors: vec4u;
${HEAD} {
  ${GROUP}
  let i = group * ${LANES}u + lane;
  if (i < vectors.x) { out[i] = (vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u)) * 0x9e3779b1u; }
}`,
  bindings: ["write"],
  ...overVectors(LANES),
}

/** out = x, 16 bytes a lane. */
export const copy: Kernel<Words> = {
  label: "bench copy",
  code: `@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(2) var<uniform> vectors: vec4u;
${HEAD} {
  ${GROUP}
  let i = group * ${LANES}u + lane;
  if (i < vectors.x) { out[i] = x[i]; }
}`,
  bindings: ["read", "write"],
  ...overVectors(LANES),
}

/** wrong[0] += the words of x that are not {@link patternAt} */
export const compare: Kernel<Words> = {
  label: "bench compare",
  code: `@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> wrong: atomic<u32>;
@group(0) @binding(2) var<uniform> vectors: vec4u;
${HEAD} {
  ${GROUP}
  let i = group * ${LANES}u + lane;
  if (i < vectors.x) {
    let expected = (vec4u(i * 4u) + vec4u(0u, 1u, 2u, 3u)) * 0x9e3779b1u;
    let bad = countOneBits(dot(vec4u(x[i] != expected), vec4u(1u, 2u, 4u, 8u)));
    if (bad > 0u) { atomicAdd(&wrong, bad); }
  }
}`,
  bindings: ["read", "write"],
  ...overVectors(LANES),
}

/** Lanes that `read` leaves a sum of. */
export const readLanes = ({ vectors }: Words): number => Math.ceil(vectors / (LANES * VECTORS)) * LANES

/** out[lane] = the sum of the words that the lane reads, of all lanes the sum of x, modulo 2^32. */
export const read: Kernel<Words> = {
  label: "bench read",
  code: `@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<uniform> vectors: vec4u;
${HEAD} {
  ${GROUP}
  var sum = vec4u();
  for (var v = 0u; v < ${VECTORS}u; v++) {
    let i = (group * ${VECTORS}u + v) * ${LANES}u + lane;
    if (i < vectors.x) { sum += x[i]; }
  }
  let at = group * ${LANES}u + lane;
  if (at < arrayLength(&out)) { out[at] = sum.x + sum.y + sum.z + sum.w; }
}`,
  bindings: ["read", "write"],
  ...overVectors(LANES * VECTORS),
}

/** Independent sums of a lane of {@link fma}, so that none waits for another. */
export const CHAINS = 16

export interface FmaParameters {
  readonly groups: number
  readonly rounds: number
  /** What every round multiplies by and adds: small whole numbers. */
  readonly factor: number
  readonly step: number
}

/**
 * out[slot, c] = a sum that began at c and was `rounds` times multiplied by `factor` and increased by `step` + slot mod 7, with
 * slot = lane mod the slots of `out`: every lane writes, those of a slot the same. The numbers come from the uniform: no
 * compiler can know that the factor is 1 and the sum a product.
 */
export const fma: Kernel<FmaParameters> = {
  label: "bench fma",
  code: `struct Numbers { rounds: u32, factor: u32, step: u32 }
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<uniform> p: Numbers;
${HEAD} {
  ${GROUP}
  let i = group * ${LANES}u + lane;
  let factor = vec4f(f32(p.factor));
  let slot = i % (arrayLength(&out) / 4u);
  let step = vec4f(f32(p.step + slot % 7u));
  var a = vec4f(0.0, 1.0, 2.0, 3.0);
  var b = vec4f(4.0, 5.0, 6.0, 7.0);
  var c = vec4f(8.0, 9.0, 10.0, 11.0);
  var d = vec4f(12.0, 13.0, 14.0, 15.0);
  for (var round = 0u; round < p.rounds; round++) {
    a = fma(a, factor, step);
    b = fma(b, factor, step);
    c = fma(c, factor, step);
    d = fma(d, factor, step);
  }
  out[4u * slot] = a;
  out[4u * slot + 1u] = b;
  out[4u * slot + 2u] = c;
  out[4u * slot + 3u] = d;
}`,
  constants: {},
  bindings: ["write"],
  parameters: ({ rounds, factor, step }) => [rounds, factor, step],
  grid: ({ groups }) => spread(groups),
}

/** Lanes of a workgroup of {@link fma}. */
export const fmaLanes: number = LANES

/** Adds 1 to a counter: nearly nothing, but each dispatch waits for the one before. */
export const count: Kernel = {
  label: "bench count",
  code: `@group(0) @binding(0) var<storage, read_write> counter: array<u32, 4>;
@group(0) @binding(1) var<uniform> unused: vec4u;
@compute @workgroup_size(1) fn main() { counter[0] += 1u + 0u * unused.x; }`,
  constants: {},
  bindings: ["write"],
  parameters: () => [],
  grid: () => [1, 1, 1],
}
