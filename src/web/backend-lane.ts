interface Waiter {
  readonly start: () => void
  readonly onAhead: (ahead: number) => void
}

/** Work that runs one at a time. The rest waits in the order it came, and is told how many come before it. */
export class Lane {
  #busy = false
  readonly #waiting: Waiter[] = []

  /**
   * Runs `work` when its turn has come.
   * @param onAhead Gets how many come first, where there are any, and again whenever that changes.
   * @throws the signal's reason when it aborts while waiting: the place is then given up.
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal, onAhead: (ahead: number) => void): Promise<T> {
    signal.throwIfAborted()
    if (this.#busy) await this.#turn(signal, onAhead)
    this.#busy = true
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  #turn(signal: AbortSignal, onAhead: (ahead: number) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const place = this.#waiting.indexOf(waiter)
        this.#waiting.splice(place, 1)
        this.#tell(place)
        reject(signal.reason as Error)
      }
      const start = (): void => {
        signal.removeEventListener("abort", leave)
        resolve()
      }
      const waiter: Waiter = { start, onAhead }
      signal.addEventListener("abort", leave, { once: true })
      this.#waiting.push(waiter)
      onAhead(this.#waiting.length)
    })
  }

  /** The lane stays busy from one to the next, so that nobody who comes in between is first. */
  #next(): void {
    const next = this.#waiting.shift()
    if (!next) this.#busy = false
    next?.start()
    this.#tell(0)
  }

  #tell(from: number): void {
    for (const [place, { onAhead }] of this.#waiting.entries()) if (place >= from) onAhead(place + 1)
  }
}
