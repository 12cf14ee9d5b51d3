import type { JSX } from "preact"

export interface TokensProps {
  readonly pieces: readonly string[]
  readonly logprobs: readonly (number | null | undefined)[]
}

/** A text, each token shaded by its log-prob: class s0 for 0 nats, s9 for -8 and less, as in the reports. */
export function Tokens({ pieces, logprobs }: TokensProps): JSX.Element {
  return (
    <>
      {pieces.map((piece, i) => {
        const logprob = logprobs[i] ?? undefined
        if (piece === "") return null
        return (
          <i
            key={i}
            class={logprob === undefined ? undefined : shade(logprob)}
            title={logprob === undefined ? undefined : `${minus(logprob)} nats`}
          >
            {piece}
          </i>
        )
      })}
    </>
  )
}

const shade = (logprob: number): string => `s${logprob >= 0 ? 0 : Math.min(9, 1 + Math.floor(-logprob))}`
const minus = (value: number): string => value.toFixed(2).replace("-", "−")

export function Legend(): JSX.Element {
  return (
    <p class="legend">
      The darker a token, the less the unsteered model expects it: <i class="s1">0</i> <i class="s3">−2</i> <i class="s5">−4</i>{" "}
      <i class="s7">−6</i> <i class="s9">−8 or less</i> nats
    </p>
  )
}
