/** Precisions of a checkpoint, as safetensors calls them. */
export type StoredType = "BF16" | "F16" | "F32"

export const storedBytes: Readonly<Record<StoredType, number>> = { BF16: 2, F16: 2, F32: 4 }

/** Different values that a weight takes: enough for any shape of curve, few enough for the processor's first cache. */
const ENTRIES = 4096

/** Fills memory with numbers of mean 0 and one deviation, as fast as a disk writes: a draw is two or one looked-up values. */
export class NormalBits {
  readonly #pairs: boolean
  readonly #low: Uint32Array
  readonly #high: Uint32Array
  readonly #state = new Int32Array(2)

  constructor(type: StoredType, deviation: number) {
    this.#pairs = type !== "F32"
    this.#low = Uint32Array.from(quantiles(deviation), (x) => bitsOf(type, x))
    this.#high = this.#low.map((bits) => bits << 16)
  }

  /** Begins the stream of a seed and a name: what is drawn then depends on them alone. */
  begin(seed: number, name: string): void {
    this.#state[0] = hash(`${seed} ${name}`, 0x811c9dc5)
    this.#state[1] = hash(`${seed} ${name}`, 0x9747b28c) | 1 // not both zero
  }

  /** Fills `words` with the numbers that come next. */
  fill(words: Uint32Array): void {
    if (this.#pairs) fillPairs(words, this.#low, this.#high, this.#state)
    else fillWords(words, this.#low, this.#state)
  }
}

// xoroshiro64* (Blackman and Vigna 2018), written out twice: a call or a branch per draw would halve the speed. Its lowest
// bits are weak and not used.

function fillPairs(words: Uint32Array, low: Uint32Array, high: Uint32Array, state: Int32Array): void {
  let a = state[0] as number
  let b = state[1] as number
  for (let i = 0; i < words.length; i++) {
    const draw = Math.imul(a, 0x9e3779bb)
    b ^= a
    a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9)
    b = (b << 13) | (b >>> 19)
    words[i] = (low[draw >>> 20] as number) | (high[(draw >>> 8) & (ENTRIES - 1)] as number)
  }
  state[0] = a
  state[1] = b
}

function fillWords(words: Uint32Array, values: Uint32Array, state: Int32Array): void {
  let a = state[0] as number
  let b = state[1] as number
  for (let i = 0; i < words.length; i++) {
    const draw = Math.imul(a, 0x9e3779bb)
    b ^= a
    a = ((a << 26) | (a >>> 6)) ^ b ^ (b << 9)
    b = (b << 13) | (b >>> 19)
    words[i] = values[draw >>> 20] as number
  }
  state[0] = a
  state[1] = b
}

/** The bits of 1, in every element of a word. */
export function onesWord(type: StoredType): number {
  const bits = bitsOf(type, 1)
  return type === "F32" ? bits : (bits | (bits << 16)) >>> 0
}

/** The middles of equally probable slices of the normal distribution, from the lowest to the highest. */
function quantiles(deviation: number): Float64Array {
  const step = 2 ** -12
  const density = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
  const found = new Float64Array(ENTRIES)
  let x = -6
  let below = 0
  for (let i = 0; i < ENTRIES; i++) {
    for (; below < (i + 0.5) / ENTRIES; x += step) below += density(x + step / 2) * step
    found[i] = x
  }
  const centred = found.map((value, i) => (value - (found[ENTRIES - 1 - i] as number)) / 2)
  const spread = Math.sqrt(centred.reduce((sum, value) => sum + value * value, 0) / ENTRIES)
  return centred.map((value) => (value * deviation) / spread)
}

const view = new DataView(new ArrayBuffer(4))

function bitsOf(type: StoredType, x: number): number {
  view.setFloat32(0, x)
  const bits = view.getUint32(0)
  if (type === "F32") return bits
  if (type === "BF16") return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16 // to the nearest, to even at a tie
  const magnitude = Math.abs(x)
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14) // -14: subnormals
  const units = Math.round(magnitude / 2 ** (exponent - 10))
  return (x < 0 ? 0x8000 : 0) | (((exponent + 14) << 10) + units)
}

/** FNV-1a with a final mix. */
function hash(text: string, start: number): number {
  let h = start
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
