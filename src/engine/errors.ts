/** The base of every error that this library throws on purpose. */
export class RedlineError extends Error {
  override name = "RedlineError"
}

/** What an {@link InputError} says: where the fault is, what was expected there, what was found, and what to do. */
export interface Fault {
  /** The file, tensor, option or argument. */
  readonly where: string
  readonly expected: string
  readonly found: string
  /** What the user can do about it, an imperative without a final full stop. */
  readonly todo?: string
}

/** Bad input: a file, an option or an argument that the user can put right. The command line exits with 2. */
export class InputError extends RedlineError {
  override name = "InputError"
  readonly fault: Fault

  constructor(fault: Fault, options?: ErrorOptions) {
    const todo = fault.todo === undefined ? "" : `; ${fault.todo}`
    super(`${fault.where}: expected ${fault.expected}, found ${fault.found}${todo}`, options)
    this.fault = fault
  }
}

/** The adapter cannot serve: none there, the null backend, or a limit too small. */
export class AdapterError extends RedlineError {
  override name = "AdapterError"
}

/** The device refused an allocation. The message names what was being allocated and its size. */
export class OutOfMemoryError extends RedlineError {
  override name = "OutOfMemoryError"
}

/** The device went away (driver reset, destroyed). The message names what was being done. */
export class DeviceLostError extends RedlineError {
  override name = "DeviceLostError"
}

/** A logit was not a number. The message names the tensor that brought it in, where one is to blame. */
export class NotFiniteError extends RedlineError {
  override name = "NotFiniteError"
}

/** A grader's endpoint cannot serve: not reached, busy for too long, or its answers are none. What was graded before stands. */
export class GraderError extends RedlineError {
  override name = "GraderError"
}
