import type { HostPoint, Pass } from "./llama.ts"
import type { Recorder } from "./recorder.ts"

/**
 * Records a pass. Without host edits it is done when this returns, and nothing has been awaited: the caller records more
 * and submits. With host edits it returns a promise, and what was recorded before each edit has been submitted.
 */
export function drive(recorder: Recorder, pass: Pass, steps: Generator<HostPoint, void, void>): Promise<void> | undefined {
  const first = steps.next()
  return first.done === true ? undefined : driveWithHost(recorder, pass, steps, first.value)
}

async function driveWithHost(
  recorder: Recorder,
  pass: Pass,
  steps: Generator<HostPoint, void, void>,
  first: HostPoint,
): Promise<void> {
  let point: HostPoint | undefined = first
  while (point !== undefined) {
    recorder.submit()
    await editOnHost(recorder, pass, point)
    const next = steps.next()
    point = next.done === true ? undefined : next.value
  }
}

/** Reads an internal back, lets the host's functions change it token by token, and writes it again. */
async function editOnHost({ device }: Recorder, { edits, place }: Pass, { name, target }: HostPoint): Promise<void> {
  const { buffer, stride, start, shape, tokens } = target
  const width = shape.reduce((a, b) => a * b, 1)
  const floats = new Float32Array(await device.read(buffer, tokens * stride * 4))
  for (const { apply } of edits?.onHost(name) ?? []) {
    for (let token = 0; token < tokens; token++) {
      const from = token * stride + start
      apply(floats.subarray(from, from + width), { name, shape, ...place(token) })
    }
  }
  device.write(buffer, floats)
}
