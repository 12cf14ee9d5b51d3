import type { MatmulVariant } from "./matmul.ts"

/** What the choice of shapes depends on. */
export interface ShapeFacts {
  /** The adapter computes on the CPU (lavapipe, SwiftShader). */
  readonly software: boolean
  readonly subgroups: boolean
}

/** Serves up to `tokens` tokens. */
interface Step {
  readonly tokens: number
  readonly variant: MatmulVariant
}

export interface KernelShapes {
  /** Ascending in tokens, the last one without end. */
  readonly matmul: readonly Step[]
}

const SOFTWARE: KernelShapes = {
  matmul: [
    { tokens: 1, variant: { kind: "lanes", tokens: 1, rows: 1, lanes: 8 } },
    { tokens: Infinity, variant: { kind: "lanes", tokens: 4, rows: 2, lanes: 8 } },
  ],
}

/** The shapes for this kind of adapter. */
export function kernelShapes(_facts: ShapeFacts): KernelShapes {
  return SOFTWARE
}

/** The variant for a batch of `tokens` tokens. */
export function chooseMatmul(shapes: KernelShapes, tokens: number): MatmulVariant {
  const step = shapes.matmul.find((each) => tokens <= each.tokens)
  return (step ?? shapes.matmul.at(-1) as Step).variant
}
