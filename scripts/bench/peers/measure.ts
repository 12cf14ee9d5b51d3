import { type Device, type Model, RedlineError } from "../../../src/index.ts"
import { assertSame, secondsFor } from "../report.ts"

/** The ids of each row. */
export type Rows = readonly (readonly number[])[]

/** What continues prompts greedily, past end tokens, all of them as one batch. */
export interface Engine {
  readonly name: string
  generate(prompts: Rows, tokens: number): Promise<Rows>
}

export const redline = (model: Model): Engine => ({
  name: "Redline",
  async generate(prompts, tokens) {
    return (await model.complete(prompts, { tokens, endIds: [], repetitionPenalty: 1 })).map(({ ids }) => ids)
  },
})

/** By the clock, or of the processors for all threads of this process: what other programs do bears on the first alone. */
export type Clock = "wall" | "cpu"

/** Every repeat's seconds. */
export type Times = Readonly<Record<Clock, number[]>>

/** Times of all tokens, and of the first alone. */
export type Seconds = Readonly<Record<"batch" | "batchFirst" | "oneByOne" | "oneByOneFirst", Times>>

export interface Measured {
  readonly engine: Engine
  readonly seconds: Seconds
  /** What it generated: as a batch, and one by one. */
  readonly batch: Rows
  readonly oneByOne: Rows
}

export interface Task {
  readonly prompts: Rows
  /** Those that also run one by one. */
  readonly alone: Rows
  readonly tokens: number
}

/**
 * Times engines in turns, after one round that is not counted.
 * @throws RedlineError when one of them generates other tokens from one time to the next.
 */
export async function measure(device: Device, engines: readonly Engine[], task: Task, repeats: number): Promise<Measured[]> {
  const { prompts, alone, tokens } = task
  const measured: Measured[] = []
  for (const engine of engines) {
    const batch = await engine.generate(prompts, tokens)
    const oneByOne = await eachAlone(engine, alone, tokens)
    const none = (): Times => ({ wall: [], cpu: [] })
    const seconds = { batch: none(), batchFirst: none(), oneByOne: none(), oneByOneFirst: none() }
    measured.push({ engine, batch, oneByOne, seconds })
  }
  for (let i = 0; i < repeats; i++) {
    for (const { engine, batch, oneByOne, seconds } of measured) {
      const timed = async (into: Times, expected: Rows, count: number, work: () => Promise<Rows>): Promise<void> => {
        let found: Rows = []
        const before = process.cpuUsage()
        into.wall.push(await secondsFor(device, async () => (found = await work())))
        const { user, system } = process.cpuUsage(before)
        into.cpu.push((user + system) / 1e6)
        const first = expected.map((ids) => ids.slice(0, count))
        assertSame(`${engine.name}: the tokens`, found, first)
      }
      await timed(seconds.batchFirst, batch, 1, () => engine.generate(prompts, 1))
      await timed(seconds.batch, batch, tokens, () => engine.generate(prompts, tokens))
      await timed(seconds.oneByOneFirst, oneByOne, 1, () => eachAlone(engine, alone, 1))
      await timed(seconds.oneByOne, oneByOne, tokens, () => eachAlone(engine, alone, tokens))
    }
  }
  return measured
}

async function eachAlone(engine: Engine, prompts: Rows, tokens: number): Promise<Rows> {
  const rows: (readonly number[])[] = []
  for (const prompt of prompts) rows.push(...(await engine.generate([prompt], tokens)))
  return rows
}

/** How well an engine's tokens are those of the model. */
export interface Agreement {
  /** The share of rows, batch and one by one, with the same tokens as Redline's batch. */
  readonly sameRows: number
  /** The largest distance of a chosen token's logit from the largest one, by Redline's logits in the same context. */
  readonly worstGap: number
}

/** Sets what an engine generated beside the model's logits. @throws RedlineError when rows are missing or too short. */
export async function agreement(model: Model, { engine, batch, oneByOne }: Measured, task: Task, own: Rows): Promise<Agreement> {
  const pairs = [...task.prompts.map((prompt, i) => [prompt, batch[i]]), ...task.alone.map((prompt, i) => [prompt, oneByOne[i]])]
  const reference = new Map(task.prompts.map((prompt, row) => [prompt.join(), own[row]?.join()]))
  const gaps = new Map<string, number>()
  let same = 0
  for (const [prompt = [], ids = []] of pairs) {
    if (ids.length !== task.tokens) throw new RedlineError(`${engine.name} generated ${ids.length} tokens: nothing is timed`)
    if (reference.get(prompt.join()) === ids.join()) same++
    const key = `${prompt.join()} ${ids.join()}`
    if (!gaps.has(key)) gaps.set(key, await worstGap(model, prompt, ids))
  }
  return { sameRows: same / pairs.length, worstGap: Math.max(...gaps.values()) }
}

async function worstGap(model: Model, prompt: readonly number[], ids: readonly number[]): Promise<number> {
  const { logits } = await model.run([[...prompt, ...ids.slice(0, -1)]])
  const { vocabSize } = model.config
  let worst = 0
  for (const [i, id] of ids.entries()) {
    const start = (prompt.length - 1 + i) * vocabSize
    const row = (logits as NonNullable<typeof logits>).data.subarray(start, start + vocabSize)
    worst = Math.max(worst, row.reduce((most, x) => Math.max(most, x), -Infinity) - (row[id] ?? NaN))
  }
  return Number.isNaN(worst) ? Infinity : worst
}
