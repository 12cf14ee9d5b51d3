/** Milliseconds of a rest. */
const REST = 1

const never = new Int32Array(new SharedArrayBuffer(4))

/**
 * Rests a millisecond in every turn of the event loop while one of the results is awaited. Dawn asks the adapter in each turn, and
 * without rests the turns follow each other at once: they would keep a processor busy that a software adapter computes on.
 */
export class Rest {
  #awaited = 0
  #resting = false

  /** Rests until `result` is there or has failed. */
  readonly during = (result: Promise<unknown>): void => {
    this.#awaited++
    const arrived = (): void => void this.#awaited--
    result.then(arrived, arrived)
    if (!this.#resting) this.#turn()
  }

  #turn(): void {
    this.#resting = this.#awaited > 0
    if (!this.#resting) return
    setImmediate(() => {
      if (this.#awaited > 0) Atomics.wait(never, 0, 0, REST)
      this.#turn()
    })
  }
}
