import { Device } from "../engine/device.ts"
import { AdapterError } from "../engine/errors.ts"

/** A browser's globals, in a page or a worker, as far as a device needs them. */
export interface BrowserScope {
  readonly isSecureContext: boolean
  readonly navigator: { readonly gpu?: Pick<GPU, "requestAdapter"> }
}

const RUNS = "This page runs the model on your own GPU through WebGPU, which"

/** Opens the browser's GPU. @throws AdapterError that says what a visitor can do where there is none. */
export async function openBrowserDevice({ isSecureContext, navigator: { gpu } }: BrowserScope): Promise<Device> {
  if (!isSecureContext)
    throw new AdapterError(`${RUNS} browsers offer to secure pages alone. Open it over https, or on localhost.`)
  if (!gpu) {
    throw new AdapterError(
      `${RUNS} this browser does not offer. Open it in Chrome or Edge 113 or newer (121 on Android), Safari 26 or newer, or ` +
        "Firefox 141 or newer on Windows (145 on a Mac).",
    )
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" })
  if (adapter) return Device.from(adapter)
  throw new AdapterError(
    "This browser has WebGPU but gives this page no GPU. Switch on hardware acceleration in its settings, update the GPU's driver, or " +
      "open the page in another browser. Chrome's page chrome://gpu says more.",
  )
}
