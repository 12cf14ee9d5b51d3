import type { JSX } from "preact"
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import type { Found, Point } from "../protocol.ts"
import { type Scale, scaleOf, shown } from "./scale.ts"

export interface CurveProps {
  readonly points: readonly Point[]
  readonly metric: string
  readonly found: Found | undefined
  /** Where the slider is. */
  readonly coefficient: number
  readonly onChoose: (coefficient: number) => void
}

const HEIGHT = 300
const MARGIN = { top: 46, right: 14, bottom: 38, left: 46 }

/** The metric against the coefficient, as far as it is known, in the looks of the reports' figures. */
export function Curve(props: CurveProps): JSX.Element {
  const [frame, width] = useWidth()
  const { points, metric, found, coefficient } = props
  const known = points.flatMap(({ coefficient: x, metric: y }) => (y === null ? [] : [{ x, y }]))
  const right = Math.max(...points.map((point) => point.coefficient), 1e-9)
  const top = Math.max(...known.map(({ y }) => y), found ? found.limit * 1.5 : 0, 1e-9)
  const bottom = Math.min(0, ...known.map(({ y }) => y))
  const x = scaleOf(Math.min(0, ...known.map((point) => point.x)), right, MARGIN.left, width - MARGIN.right, width < 500 ? 5 : 9)
  const y = scaleOf(bottom, top, HEIGHT - MARGIN.bottom, MARGIN.top, 5)
  return (
    <div ref={frame} class="curve">
      <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={labelOf(props)}>
        <Axes x={x} y={y} width={width} metric={metric} />
        {found && <Marks found={found} x={x} y={y} width={width} right={right} />}
        {coefficient <= right && (
          <path class="here" d={`M${x.at(coefficient) - 5} ${HEIGHT - MARGIN.bottom + 9}l5 -9l5 9z`}>
            <title>the slider: {shown(coefficient)}</title>
          </path>
        )}
        <polyline class="line" points={known.map((point) => `${x.at(point.x)},${y.at(point.y)}`).join(" ")} />
        {known.map((point) => (
          <circle key={point.x} cx={x.at(point.x)} cy={y.at(point.y)} r={3.5} onClick={() => props.onChoose(point.x)}>
            <title>{`${shown(point.x)}: ${shown(point.y)}`}</title>
          </circle>
        ))}
      </svg>
    </div>
  )
}

function labelOf({ points, metric, found }: CurveProps): string {
  const redline = found && found.max !== null ? `, the redline at ${shown(found.max)}` : ""
  return `${metric} against the coefficient: ${points.length} points${redline}`
}

function Axes({ x, y, width, metric }: { x: Scale; y: Scale; width: number; metric: string }): JSX.Element {
  const base = HEIGHT - MARGIN.bottom
  return (
    <g class="axes">
      {x.ticks.map((tick) => (
        <g key={tick}>
          <line x1={x.at(tick)} x2={x.at(tick)} y1={base} y2={base + 5} />
          <text x={x.at(tick)} y={base + 20} text-anchor="middle">
            {shown(tick)}
          </text>
        </g>
      ))}
      {y.ticks.map((tick) => (
        <g key={tick}>
          <line class="grid" x1={MARGIN.left} x2={width - MARGIN.right} y1={y.at(tick)} y2={y.at(tick)} />
          <text x={MARGIN.left - 7} y={y.at(tick) + 4} text-anchor="end">
            {shown(tick)}
          </text>
        </g>
      ))}
      <text x={width - MARGIN.right} y={HEIGHT - 3} text-anchor="end">
        coefficient →
      </text>
      <text x={4} y={12}>
        ↑ {metric}
      </text>
    </g>
  )
}

interface MarksProps {
  readonly found: Found
  readonly x: Scale
  readonly y: Scale
  readonly width: number
  readonly right: number
}

function Marks({ found, x, y, width, right }: MarksProps): JSX.Element {
  const { limit, baseline, crossing, max, minimum } = found
  const [top, base] = [MARGIN.top, HEIGHT - MARGIN.bottom]
  const upright = (kind: string, name: string, value: number, label: number): JSX.Element => {
    const part = (x.at(value) - MARGIN.left) / (width - MARGIN.left - MARGIN.right)
    return (
      <g class={kind}>
        <line x1={x.at(value)} x2={x.at(value)} y1={top} y2={base} />
        <text x={x.at(value)} y={label} text-anchor={part < 0.2 ? "start" : part > 0.8 ? "end" : "middle"}>
          {name} {shown(value)}
        </text>
      </g>
    )
  }
  return (
    <>
      {crossing !== null && crossing < right && (
        <rect class="beyond" x={x.at(crossing)} y={top} width={x.at(right) - x.at(crossing)} height={base - top} />
      )}
      <g class="levels">
        <line stroke-dasharray="2,4" x1={MARGIN.left} x2={width - MARGIN.right} y1={y.at(baseline)} y2={y.at(baseline)} />
        <line stroke-dasharray="6,4" x1={MARGIN.left} x2={width - MARGIN.right} y1={y.at(limit)} y2={y.at(limit)} />
        <text x={MARGIN.left + 6} y={y.at(limit) - 6}>
          threshold {shown(limit)}
        </text>
      </g>
      {minimum !== null && upright("minimum", "takes effect", minimum, top - 4)}
      {max !== null && upright("max", "redline", max, top - 19)}
    </>
  )
}

/** The width of an element as it is, so that text in a drawing keeps its size. */
function useWidth(): [{ current: HTMLDivElement | null }, number] {
  const frame = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(600)
  useLayoutEffect(() => {
    const element = frame.current as HTMLDivElement
    const measure = (): void => setWidth(Math.max(240, Math.floor(element.clientWidth)))
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    measure()
    return () => observer.disconnect()
  }, [])
  return [frame, width]
}
