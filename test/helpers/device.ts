import type { Device } from "../../src/engine/device.ts"
import { openDevice } from "../../src/node.ts"

let opened: Promise<Device> | undefined

/** The one device of a test process, with validation on. Fails where there is no adapter. */
export function testDevice(): Promise<Device> {
  opened ??= openDevice({ debug: true })
  return opened
}
