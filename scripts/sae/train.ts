import { random } from "./random.ts"

export interface TrainingSettings {
  readonly latents: number
  readonly k: number
  readonly steps: number
  /** Rows of a step. */
  readonly batch: number
  /** Adam's rate; it falls to 0 over the last half of the steps. */
  readonly rate: number
  readonly seed: number
}

/** A trained sparse autoencoder, its tensors as in EleutherAI's files. */
export interface TrainedSae {
  /** [latents, width] */
  readonly encoder: Float32Array
  readonly encoderBias: Float32Array
  /** [latents, width], rows of length 1 */
  readonly decoder: Float32Array
  readonly decoderBias: Float32Array
}

/** A feature that no row of so many steps has used starts anew, up to this share of all steps. */
const DEAD_AFTER = 40
const REVIVE_UNTIL = 0.6

/**
 * Trains a TopK autoencoder on rows [count, width] by Adam on the squared error, as EleutherAI's sparsify does: the encoder
 * starts as the transpose of the decoder, b_dec as the mean, and the decoder's rows keep length 1. A dead feature starts anew
 * along the error of a row that is described badly.
 */
export function trainSae(
  rows: Float32Array,
  width: number,
  settings: TrainingSettings,
  onStep: (step: number, unexplained: number) => void,
): TrainedSae {
  const trainer = new Trainer(rows, width, settings)
  for (let step = 0; step < settings.steps; step++) onStep(step, trainer.step(step))
  return trainer.result()
}

/** A tensor with its gradient and Adam's two moments. */
class Parameter {
  readonly values: Float32Array
  readonly gradient: Float32Array
  readonly #mean: Float32Array
  readonly #square: Float32Array

  constructor(size: number) {
    this.values = new Float32Array(size)
    this.gradient = new Float32Array(size)
    this.#mean = new Float32Array(size)
    this.#square = new Float32Array(size)
  }

  update(step: number, rate: number): void {
    const { values, gradient } = this
    const mean = this.#mean
    const square = this.#square
    const scale = rate / (1 - 0.9 ** (step + 1))
    const correction = 1 / (1 - 0.999 ** (step + 1))
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i] as number
      const m = 0.9 * (mean[i] as number) + 0.1 * g
      const s = 0.999 * (square[i] as number) + 0.001 * g * g
      mean[i] = m
      square[i] = s
      values[i] = (values[i] as number) - (scale * m) / (Math.sqrt(s * correction) + 1e-8)
    }
    gradient.fill(0)
  }

  /** Forgets the moments of `begin … end`. */
  forget(begin: number, end: number): void {
    this.#mean.fill(0, begin, end)
    this.#square.fill(0, begin, end)
  }
}

class Trainer {
  readonly #rows: Float32Array
  readonly #width: number
  readonly #settings: TrainingSettings
  /** The rows' scale: divided by it, their distance from the mean is about 1 in each dimension. */
  readonly #scale: number
  readonly #next: (n: number) => number
  readonly #encoder: Parameter
  readonly #encoderBias: Parameter
  readonly #decoder: Parameter
  readonly #decoderBias: Parameter
  /** The last step at which each feature was used. */
  readonly #used: Int32Array
  readonly #activations: Float32Array

  constructor(rows: Float32Array, width: number, settings: TrainingSettings) {
    const { latents, seed } = settings
    this.#rows = rows
    this.#width = width
    this.#settings = settings
    this.#next = random(seed)
    this.#encoder = new Parameter(latents * width)
    this.#encoderBias = new Parameter(latents)
    this.#decoder = new Parameter(latents * width)
    this.#decoderBias = new Parameter(width)
    this.#used = new Int32Array(latents)
    this.#activations = new Float32Array(latents)
    const { mean, deviation } = momentsOf(rows, width)
    this.#scale = deviation
    this.#decoderBias.values.set(mean.map((x) => x / deviation))
    for (let latent = 0; latent < latents; latent++) this.#start(latent, this.#randomDirection())
  }

  /** One step over a random batch; returns its squared error over its squared distance from the mean. */
  step(step: number): number {
    const { batch, steps, rate } = this.#settings
    let worst: { readonly error: Float32Array; readonly size: number }[] = []
    let error = 0
    for (let i = 0; i < batch; i++) {
      const residual = this.#accumulate(this.#row(this.#next(this.#rows.length / this.#width)), step)
      const size = dot(residual, 0, residual, 0, this.#width)
      error += size
      worst.push({ error: residual, size })
    }
    this.#keepLengths()
    const now = rate * Math.min(1, (step + 1) / 50, 2 * (1 - step / steps))
    for (const parameter of [this.#encoder, this.#encoderBias, this.#decoder, this.#decoderBias]) parameter.update(step, now)
    this.#normalise()
    if (step % DEAD_AFTER === 0 && step > 0 && step < REVIVE_UNTIL * steps) {
      worst = worst.sort((a, b) => b.size - a.size)
      this.#revive(
        step,
        worst.map((each) => each.error),
      )
    }
    return error / (batch * this.#width)
  }

  /** The tensors for rows as they are, unscaled. */
  result(): TrainedSae {
    const scaled = ({ values }: Parameter): Float32Array => values.map((x) => x * this.#scale)
    return {
      encoder: this.#encoder.values,
      encoderBias: scaled(this.#encoderBias),
      decoder: this.#decoder.values,
      decoderBias: scaled(this.#decoderBias),
    }
  }

  #row(index: number): Float32Array {
    const begin = index * this.#width
    return this.#rows.slice(begin, begin + this.#width).map((x) => x / this.#scale)
  }

  /** Adds a row's gradients to the parameters'; returns x - reconstruction. */
  #accumulate(x: Float32Array, step: number): Float32Array {
    const width = this.#width
    const encoder = this.#encoder
    const decoder = this.#decoder
    const centred = x.map((value, i) => value - (this.#decoderBias.values[i] as number))
    const chosen = this.#strongest(centred)
    const error = centred.slice()
    for (const latent of chosen)
      addScaled(error, 0, decoder.values, latent * width, -(this.#activations[latent] as number), width)
    // The loss is |error|^2 / 2 (Adam does not care for the factor).
    const bias = this.#decoderBias.gradient
    addScaled(bias, 0, error, 0, -1, width)
    for (const latent of chosen) {
      this.#used[latent] = step
      const at = latent * width
      const back = -dot(error, 0, decoder.values, at, width)
      addScaled(decoder.gradient, at, error, 0, -(this.#activations[latent] as number), width)
      addScaled(encoder.gradient, at, centred, 0, back, width)
      addScaled(bias, 0, encoder.values, at, -back, width)
      this.#encoderBias.gradient[latent]! += back
    }
    return error
  }

  /** The k features of the largest positive activations. */
  #strongest(centred: Float32Array): number[] {
    const width = this.#width
    const { latents, k } = this.#settings
    const activations = this.#activations
    const best: number[] = []
    for (let latent = 0; latent < latents; latent++) {
      const a = dot(centred, 0, this.#encoder.values, latent * width, width) + (this.#encoderBias.values[latent] as number)
      activations[latent] = a
      if (a <= 0 || (best.length === k && a <= (activations[best[k - 1] as number] as number))) continue
      if (best.length === k) best.pop()
      let place = best.length
      while (place > 0 && (activations[best[place - 1] as number] as number) < a) place--
      best.splice(place, 0, latent)
    }
    return best
  }

  /** Takes off the decoder's gradients what would change the length of its rows. */
  #keepLengths(): void {
    const width = this.#width
    const { values, gradient } = this.#decoder
    for (let at = 0; at < values.length; at += width) {
      addScaled(gradient, at, values, at, -dot(gradient, at, values, at, width), width)
    }
  }

  #normalise(): void {
    const width = this.#width
    const { values } = this.#decoder
    for (let at = 0; at < values.length; at += width) {
      const length = Math.sqrt(dot(values, at, values, at, width))
      for (let i = at; i < at + width; i++) values[i] = (values[i] as number) / length
    }
  }

  #revive(step: number, errors: readonly Float32Array[]): void {
    let taken = 0
    for (const [latent, used] of this.#used.entries()) {
      const error = errors[taken]
      if (error === undefined || step - used < DEAD_AFTER) continue
      taken++
      this.#start(latent, error)
      this.#used[latent] = step
    }
  }

  /** Lets a feature begin along `direction`. */
  #start(latent: number, direction: Float32Array): void {
    const width = this.#width
    const at = latent * width
    const length = Math.sqrt(dot(direction, 0, direction, 0, width))
    const unit = direction.map((x) => x / length)
    for (const parameter of [this.#encoder, this.#decoder]) {
      parameter.values.set(unit, at)
      parameter.forget(at, at + width)
    }
    this.#encoderBias.values[latent] = 0
    this.#encoderBias.forget(latent, latent + 1)
  }

  /** Nearly normal numbers: of no preferred direction. */
  #randomDirection(): Float32Array {
    const number = (): number => this.#next(2 ** 20) / 2 ** 20 - 0.5
    return Float32Array.from({ length: this.#width }, () => number() + number() + number() + number())
  }
}

function momentsOf(rows: Float32Array, width: number): { readonly mean: Float64Array; readonly deviation: number } {
  const count = rows.length / width
  const mean = new Float64Array(width)
  for (let i = 0; i < rows.length; i++) mean[i % width]! += (rows[i] as number) / count
  let sum = 0
  for (let i = 0; i < rows.length; i++) sum += ((rows[i] as number) - (mean[i % width] as number)) ** 2
  return { mean, deviation: Math.sqrt(sum / rows.length) }
}

/** The dot product of a's and b's numbers from `i` and `j` on. */
function dot(a: Float32Array, i: number, b: Float32Array, j: number, width: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  for (let n = 0; n < width; n += 4) {
    s0 += (a[i + n] as number) * (b[j + n] as number)
    s1 += (a[i + n + 1] as number) * (b[j + n + 1] as number)
    s2 += (a[i + n + 2] as number) * (b[j + n + 2] as number)
    s3 += (a[i + n + 3] as number) * (b[j + n + 3] as number)
  }
  return s0 + s1 + s2 + s3
}

function addScaled(sum: Float32Array, i: number, x: Float32Array, j: number, factor: number, width: number): void {
  for (let n = 0; n < width; n++) sum[i + n] = (sum[i + n] as number) + factor * (x[j + n] as number)
}
