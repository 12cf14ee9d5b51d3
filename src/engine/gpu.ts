/// <reference lib="esnext.disposable" preserve="true" />

// The WebGPU interfaces that the public declarations mention. They merge with those of TypeScript's DOM library or of
// @webgpu/types, whichever a program has, and keep the declarations whole in a program that has neither. A reference to
// @webgpu/types instead would clash with the DOM library of TypeScript 6 and later.
declare global {
  interface GPUAdapter {}
  interface GPUBindGroup {}
  interface GPUBindGroupLayout {}
  interface GPUBuffer {}
  interface GPUComputePipeline {}
  interface GPUComputePassTimestampWrites {}
  interface GPUDevice {}
}

export {}
