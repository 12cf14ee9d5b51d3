export { openDevice, type OpenDeviceOptions } from "./node/dawn.ts"
