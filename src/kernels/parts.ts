export interface Part {
  /** f32 numbers in a part: 4, 2 or 1. */
  readonly size: number
  /** WGSL to put before a kernel: `Part` is the type, `PART` the size. */
  readonly code: string
}

/** The widest vector in which a run of `length` numbers, starting at a multiple of `length`, can be loaded. */
export function partOf(length: number): Part {
  if (length % 4 === 0) return { size: 4, code: "alias Part = vec4f;\nconst PART = 4u;\n" }
  if (length % 2 === 0) return { size: 2, code: "alias Part = vec2f;\nconst PART = 2u;\n" }
  return { size: 1, code: "alias Part = f32;\nconst PART = 1u;\n" }
}
