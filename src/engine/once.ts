/** Things that are made when they are first wanted, and kept by their keys. */
export class Once {
  readonly #made = new Map<string, unknown>()

  /** What stands under `key`, made first where it does not; a key stands for one kind of thing. */
  get<T>(key: string, make: () => T): T {
    const known = this.#made.get(key) as T | undefined
    if (known !== undefined) return known
    const made = make()
    this.#made.set(key, made)
    return made
  }
}
