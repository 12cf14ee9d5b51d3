/** How long the parts of a command take, one after the other, in seconds. */
export class Stopwatch {
  readonly #started = performance.now()
  #last = this.#started
  readonly #laps: [name: string, seconds: number][] = []

  /** Ends a part that began where the one before it ended. */
  lap(name: string): void {
    const now = performance.now()
    this.#laps.push([name, (now - this.#last) / 1000])
    this.#last = now
  }

  /** The parts in their order, and the total up to the last of them. */
  get seconds(): Readonly<Record<string, number>> {
    return { ...Object.fromEntries(this.#laps), total: (this.#last - this.#started) / 1000 }
  }

  /** «took 0.1 s load, 1.2 s search, 1.3 s total». */
  describe(): string {
    const parts = Object.entries(this.seconds).map(([name, seconds]) => `${seconds.toFixed(1)} s ${name}`)
    return `took ${parts.join(", ")}`
  }
}
