import type { Answer, Grader } from "../steering/grades.ts"
import { ratingIn } from "../steering/rubric.ts"
import {
  type Ask,
  checkKey,
  endpointAddress,
  type EndpointOptions,
  type EndpointWait,
  GarbledAnswer,
  openEndpoint,
} from "./grader-endpoint.ts"

export interface RemoteGraderOptions extends EndpointOptions {
  /** Questions asked at a time; 8 unless told. */
  readonly concurrency?: number
  /** Questions begun in any minute; as many as it goes unless told. */
  readonly perMinute?: number
  /** Called when the endpoint is busy and is asked again. */
  readonly onWait?: (wait: EndpointWait) => void
}

/** How often a question is asked whose answer is garbled or holds no rating. */
const TRIES = 3
const MINUTE = 60_000

/**
 * A language model behind an endpoint as the grader: Anthropic's, or any that speaks OpenAI's protocol. A failure that repeating does not
 * mend stops it; a question whose answers hold no rating is passed over.
 *
 * @throws InputError for an address or a key that is none
 */
export function remoteGrader(options: RemoteGraderOptions): Grader {
  checkKey(options)
  const { kind, model, concurrency = 8, perMinute, onWait } = options
  return {
    grader: kind,
    model,
    source: endpointAddress(options),
    async rate(questions, onAnswer, signal) {
      const { default: Queue } = await import("p-queue")
      const queue = new Queue({ concurrency, ...(perMinute && { intervalCap: perMinute, interval: MINUTE, strict: true }) })
      const gate = new Gate(queue)
      const ask = await openEndpoint(options, (wait) => {
        // The whole queue waits: the others would be refused as well.
        if (wait.status === 429 && wait.seconds !== undefined) gate.close(wait.seconds)
        onWait?.(wait)
      })
      const stop = new AbortController()
      const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
      const askUntil = stoppable(ask, either)
      const tasks = questions.map((question, i) =>
        queue.add(async () => {
          const answer = await rated(askUntil, question)
          if (answer && !either.aborted) onAnswer(i, answer)
        }),
      )
      try {
        await Promise.race([Promise.all(tasks), rejection(either)])
      } finally {
        queue.clear()
        gate.open()
        stop.abort()
      }
    },
  }
}

/** Keeps a queue from beginning anything for a while. */
class Gate {
  readonly #queue: { pause(): void; start(): unknown }
  #timer: ReturnType<typeof setTimeout> | undefined
  #until = 0

  constructor(queue: { pause(): void; start(): unknown }) {
    this.#queue = queue
  }

  close(seconds: number): void {
    const until = Date.now() + seconds * 1000
    if (until <= this.#until) return
    this.#until = until
    this.#queue.pause()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.open(), seconds * 1000)
  }

  open(): void {
    clearTimeout(this.#timer)
    this.#queue.start()
  }
}

/**
 * Asks with a signal of its own each time: the libraries leave a listener on the signal at every try, and Node.js warns of a leak
 * where one signal has more than ten.
 */
function stoppable(ask: Ask, signal: AbortSignal): (question: string) => Promise<string> {
  const running = new Set<AbortController>()
  const stop = (): void => {
    for (const one of running) one.abort(signal.reason)
  }
  signal.addEventListener("abort", stop, { once: true })
  return async (question) => {
    signal.throwIfAborted()
    const own = new AbortController()
    running.add(own)
    try {
      return await ask(question, own.signal)
    } finally {
      running.delete(own)
    }
  }
}

async function rated(ask: (question: string) => Promise<string>, question: string): Promise<Answer | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      const reply = await ask(question)
      const rating = ratingIn(reply)
      if (rating !== undefined) return { rating, reply }
      if (tries === TRIES) return undefined
    } catch (error) {
      if (!(error instanceof GarbledAnswer) || tries === TRIES) throw error
    }
  }
}

/** Never resolves; rejects with the reason when the signal is aborted. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    else signal.addEventListener("abort", abort, { once: true })
  })
}
