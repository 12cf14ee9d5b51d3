import { describe, expect, test } from "vitest"
import { InputError, NotFiniteError } from "../../src/engine/errors.ts"
import { type Metrics, metricNames } from "../../src/steering/metrics.ts"
import { AUTO_CAP, searchCoefficients, type Evaluate, type Evaluation, type SearchOptions } from "../../src/steering/search.ts"

interface Shown extends Evaluation {
  readonly text: string
}

/** All metrics at 1 but those given. */
const metricsOf = (some: Partial<Metrics>): Metrics =>
  ({ ...Object.fromEntries(metricNames.map((name) => [name, 1])), ...some }) as Metrics

const at = (coefficient: number, nll: number): Shown => ({
  coefficient,
  metrics: metricsOf({ nll }),
  text: `text at ${coefficient}`,
})

/** An evaluator of a made-up curve that remembers the batches it was asked for. */
function evaluator(curve: (c: number) => number): { batches: number[][]; evaluate: Evaluate<Shown> } {
  const batches: number[][] = []
  const evaluate: Evaluate<Shown> = async (coefficients) => {
    batches.push([...coefficients])
    return coefficients.map((c) => at(c, curve(c)))
  }
  return { batches, evaluate }
}

/** 2 up to `limit`, then steeply up. */
const plateau =
  (limit: number) =>
  (c: number): number =>
    c <= limit ? 2 : 2 + 40 * (c - limit)

const nll = { metric: "nll" } as const
const auto = { ...nll, coefficients: "auto" } as const
const coefficientsOf = (result: { curve: readonly Evaluation[] }): number[] => result.curve.map((point) => point.coefficient)

describe("given coefficients", () => {
  test("one batch, the baseline first, the curve ascending with what the caller added", async () => {
    const { batches, evaluate } = evaluator(plateau(1.2))
    const result = await searchCoefficients(evaluate, { ...nll, coefficients: [-1, 0.5, 1, 1.5, 2] })
    expect(batches).toEqual([[0, 0.5, 1, 1.5, 2, -1]])
    expect(coefficientsOf(result)).toEqual([-1, 0, 0.5, 1, 1.5, 2])
    expect(result).toMatchObject({ baseline: 2, threshold: 2.4, max: 1, crossing: 1.5, stopped: false })
    expect(result.curve[3]?.text).toBe("text at 1")
    expect(result.reason).toBeUndefined()
  })

  test("a 0 in the list is not evaluated twice", async () => {
    const { batches, evaluate } = evaluator(plateau(1))
    await searchCoefficients(evaluate, { ...nll, coefficients: [0, 1] })
    expect(batches).toEqual([[0, 1]])
  })

  test("a flat curve has neither crossing nor maximum", async () => {
    const result = await searchCoefficients(evaluator(() => 2).evaluate, { ...nll, coefficients: [1, 2] })
    expect(result).toMatchObject({ crossing: null, max: null, interpolated: null })
    expect(result.reason).toMatch(/stays below .* up to 2/)
  })

  test.each([
    ["vocab", 0.3, (c: number) => 10 - c, { baseline: 10, threshold: 7, max: 2, crossing: 3 }],
    ["kl-p95", undefined, (c: number) => c * 0.4, { baseline: 0, threshold: 1, max: 2, crossing: 3 }],
    ["kl-p95", 0.5, (c: number) => c * 0.4, { threshold: 0.5, max: 1, crossing: 2 }],
    ["perplexity", undefined, (c: number) => 5 + c, { threshold: 6, max: 0, crossing: 1 }],
  ] as const)("the metric asked for decides, and the fraction: %s, %s", async (metric, fraction, value, expected) => {
    const evaluate: Evaluate<Evaluation> = async (cs) =>
      cs.map((c) => ({ coefficient: c, metrics: metricsOf({ [metric]: value(c) }) }))
    const options = { metric, coefficients: [1, 2, 3, 4], ...(fraction && { fraction }) }
    expect(await searchCoefficients(evaluate, options)).toMatchObject(expected)
  })
})

describe("auto", () => {
  /** Noise between -1 and 1 that is the same in every run. */
  const noise = (c: number): number => Math.sin(c * 12345)
  const curves: [string, number, (c: number) => number][] = [
    ["plateau then jump, low", 0.1, plateau(0.1)],
    ["plateau then jump", 0.7, plateau(0.7)],
    ["plateau then jump in the second batch", 0.9, plateau(0.9)],
    ["plateau then jump, high", 6.5, plateau(6.5)],
    ["a dip below the baseline", 1.3, (c) => (c <= 1.3 ? 2 - 0.8 * Math.sin((c * Math.PI) / 1.3) : 9)],
    ["noise below the threshold", 0.5, (c) => plateau(0.5)(c) + 0.15 * noise(c)],
    ["falls back to the baseline far beyond", 0.4, (c) => (c <= 0.4 || c > 3 ? 2 : 7)],
    ["NaN beyond", 2.2, (c) => (c <= 2.2 ? 2 : NaN)],
    ["infinite beyond", 0.3, (c) => (c <= 0.3 ? 2 : Infinity)],
  ]
  for (const unit of [1, 0.037, 250]) {
    test.each(curves)(`unit ${unit}: %s`, async (_, limit, curve) => {
      const { batches, evaluate } = evaluator((c) => curve(c / unit))
      const { max, crossing, ...result } = await searchCoefficients(evaluate, { ...auto, unit })
      expect(max).not.toBeNull()
      // The made-up curves reach 20 % a hundredth of a unit beyond their limit.
      expect((max as number) / unit).toBeLessThanOrEqual(limit + 0.015)
      expect((crossing as number) / unit).toBeGreaterThan(limit)
      expect((crossing as number) - (max as number)).toBeLessThanOrEqual((crossing as number) / 16)
      expect(result.reason).toBeUndefined()

      const asked = batches.flat()
      expect(batches.length).toBeLessThanOrEqual(3)
      expect(asked.length).toBeLessThanOrEqual(23)
      expect(new Set(asked).size).toBe(asked.length)
      expect(coefficientsOf(result)).toEqual(asked.toSorted((a, b) => a - b))
    })
  }

  test("the brackets are powers of √2 from 1/16, the refinement an even grid in the bracket", async () => {
    const { batches, evaluate } = evaluator(plateau(0.3))
    await searchCoefficients(evaluate, auto)
    expect(batches).toEqual([
      [0, 0.0625, 0.08839, 0.125, 0.1768, 0.25, 0.3536, 0.5, 0.7071],
      [0.263, 0.2759, 0.2888, 0.3018, 0.3148, 0.3277, 0.3407],
    ])
  })

  test("gives up at the cap and says how far it looked", async () => {
    const { batches, evaluate } = evaluator(() => 2)
    const result = await searchCoefficients(evaluate, { ...auto, unit: 10 })
    expect(batches.map((batch) => batch.length)).toEqual([9, 7])
    expect(coefficientsOf(result).at(-1)).toBe(AUTO_CAP * 10)
    expect(result).toMatchObject({ crossing: null, max: null })
    expect(result.reason).toMatch(/up to 80, the largest coefficient evaluated/)
  })

  test("looks closer below the first multiple", async () => {
    const { batches, evaluate } = evaluator((c) => (c <= 0.011 ? 2 : 9))
    const result = await searchCoefficients(evaluate, auto)
    expect(batches.map((batch) => batch.length)).toEqual([9, 7, 7, 7])
    expect(result.max as number).toBeLessThanOrEqual(0.011)
    expect(result.crossing as number).toBeGreaterThan(0.011)
    expect((result.crossing as number) - (result.max as number)).toBeLessThanOrEqual(0.011 / 16)
  })

  test("a curve that crosses at once ends with a maximum of 0 and the reason", async () => {
    const { batches, evaluate } = evaluator((c) => (c === 0 ? 2 : 9))
    const result = await searchCoefficients(evaluate, auto)
    expect(batches.map((batch) => batch.length)).toEqual([9, 7, 7, 7])
    expect(result.max).toBe(0)
    expect(result.crossing).toBe(coefficientsOf(result)[1])
    expect(result.reason).toMatch(/crosses at once/)
  })
})

describe("stopping", () => {
  /** Hands over its points one by one and is aborted by `controller` when `count` are known in all. */
  function stoppingAfter(count: number, controller: AbortController, curve: (c: number) => number): Evaluate<Shown> {
    let known = 0
    return async (coefficients, { signal, onPoints }) => {
      const points: Shown[] = []
      for (const c of coefficients) {
        if (known === count) controller.abort()
        signal?.throwIfAborted()
        known += 1
        points.push(at(c, curve(c)))
        onPoints([points.at(-1) as Shown])
      }
      return points
    }
  }

  const stop = (
    count: number,
    options: SearchOptions<Shown>,
    curve = plateau(1.2),
  ): ReturnType<typeof searchCoefficients<Shown>> => {
    const controller = new AbortController()
    return searchCoefficients(stoppingAfter(count, controller, curve), { ...options, signal: controller.signal })
  }

  test("before the crossing, it gives the curve so far", async () => {
    const result = await stop(2, { ...nll, coefficients: [1, 2, 3] })
    expect(result).toMatchObject({ stopped: true, baseline: 2, crossing: null, max: null })
    expect(coefficientsOf(result)).toEqual([0, 1])
    expect(result.reason).toMatch(/^stopped after 2 of 4 coefficients; the metric stays below/)
  })

  test("after the crossing, it gives the crossing known", async () => {
    const result = await stop(3, { ...nll, coefficients: [1, 2, 3] })
    expect(result).toMatchObject({ stopped: true, max: 1, crossing: 2, reason: "stopped after 3 of 4 coefficients" })
  })

  test("in the refinement of auto, it gives the bracket as narrow as it is", async () => {
    const result = await stop(18, auto)
    expect(result).toMatchObject({ stopped: true, max: 1.103, crossing: 1.414, reason: "stopped after 18 of 23 coefficients" })
  })

  test("between two batches, evaluate is not called again", async () => {
    const controller = new AbortController()
    const { batches, evaluate } = evaluator(plateau(1.2))
    const result = await searchCoefficients(evaluate, {
      ...auto,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    })
    expect(batches).toHaveLength(1)
    expect(result.stopped).toBe(true)
  })

  test("without a baseline there is nothing to give: the signal's reason is thrown", async () => {
    await expect(stop(0, auto)).rejects.toThrow(expect.objectContaining({ name: "AbortError" }))
    const reason = new Error("interrupted")
    const { batches, evaluate } = evaluator(plateau(1))
    await expect(searchCoefficients(evaluate, { ...auto, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(batches).toEqual([])
  })

  test("a custom reason stops as well; another error does not count as a stop", async () => {
    const failing =
      (error: Error): Evaluate<Shown> =>
      async (_, { onPoints }) => {
        onPoints([at(0, 2)])
        throw error
      }
    const error = new Error("interrupted")
    const controller = new AbortController()
    const options: SearchOptions<Shown> = { ...auto, signal: controller.signal, onProgress: () => controller.abort(error) }
    expect(await searchCoefficients(failing(error), options)).toMatchObject({ stopped: true, baseline: 2, crossing: null })
    await expect(searchCoefficients(failing(error), auto)).rejects.toBe(error)
  })
})

test("progress counts every point once, against what has been asked for", async () => {
  const seen: [number, number, number][] = []
  const evaluate: Evaluate<Shown> = async (coefficients, { onPoints }) => {
    const points = coefficients.map((c) => at(c, plateau(0.3)(c)))
    onPoints(points.slice(0, 2))
    return points
  }
  const onProgress: SearchOptions<Shown>["onProgress"] = ({ done, total, points }) => seen.push([done, total, points.length])
  await searchCoefficients(evaluate, { ...auto, onProgress })
  expect(seen).toEqual([
    [2, 9, 2],
    [9, 9, 7],
    [11, 16, 2],
    [16, 16, 5],
  ])
})

describe("refused", () => {
  const { batches, evaluate } = evaluator(plateau(1))
  test.each<[string, SearchOptions<Shown>, RegExp]>([
    ["coefficients not ascending", { ...nll, coefficients: [2, 1] }, /^coefficients: .*1 after 2/],
    ["no coefficients", { ...nll, coefficients: [] }, /^coefficients: .*found 0/],
    ["a unit of 0", { ...auto, unit: 0 }, /^unit: .*found 0/],
    ["a unit that is no number", { ...auto, unit: NaN }, /^unit: .*found NaN/],
    ["a fraction of 0", { ...auto, fraction: 0 }, /^threshold: .*found 0/],
  ])("%s, before any work", async (_, options, message) => {
    const search = searchCoefficients(evaluate, options)
    await expect(search).rejects.toThrow(InputError)
    await expect(search).rejects.toThrow(message)
    expect(batches).toEqual([])
  })

  test("a baseline that is no number", async () => {
    const { evaluate: broken } = evaluator(() => NaN)
    await expect(searchCoefficients(broken, auto)).rejects.toThrow(NotFiniteError)
  })

  test("an evaluator that leaves a coefficient out", async () => {
    const short: Evaluate<Shown> = async (coefficients) => coefficients.slice(0, -1).map((c) => at(c, 2))
    await expect(searchCoefficients(short, { ...nll, coefficients: [1, 2] })).rejects.toThrow(
      "no evaluation for the coefficients 2",
    )
  })
})
