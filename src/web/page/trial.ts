import { useRef, useState } from "preact/hooks"
import type { ChatMessage } from "../../engine/chat.ts"
import type { Connection, GenerateEvent, GenerateRequest, Side } from "../protocol.ts"
import { type Choices, missing, steeringOf } from "./choices.ts"
import { type Task, useTask } from "./task.ts"

/** A side's text as it grows. */
export interface Answer {
  readonly pieces: readonly string[]
  /** By the unsteered model, in nats; undefined where it has not come yet. */
  readonly logprobs: readonly (number | null | undefined)[]
  readonly stopped: "end" | "length" | undefined
}

/** A text and its two continuations, or a message and its two answers. */
export interface Turn {
  readonly prompt: string
  readonly coefficient: number
  readonly answers: Readonly<Record<Side, Answer>>
}

export interface Trial {
  readonly task: Task
  /** Of a chat all, of a continued text one. */
  readonly turns: readonly Turn[]
  /** Continues the prompt, or answers it after the turns so far. */
  readonly start: (choices: Choices) => void
  /** The last turn anew, as soon as the settings rest; a text may begin so, a chat begins with a message. */
  readonly again: (choices: () => Choices) => void
  readonly clear: () => void
}

export const SIDES: readonly Side[] = ["unsteered", "steered"]

/** A search's own: the texts at a coefficient are then the same. */
const REPETITION_PENALTY = 1.1

const EMPTY: Answer = { pieces: [], logprobs: [], stopped: undefined }

/** How long the settings must rest before they ask for texts, in ms. */
const REST = 250

/** @param onUnanswered Gets a prompt back that failed, or was stopped, before either side had said anything. */
export function useTrial(connection: Connection, onUnanswered: (prompt: string) => void): Trial {
  const task = useTask()
  const [turns, latest, setTurns] = useTurns()
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined)
  const takeBack = (): void => {
    const last = latest().at(-1)
    if (last === undefined || SIDES.some((side) => last.answers[side].pieces.length > 0)) return
    setTurns(latest().slice(0, -1))
    onUnanswered(last.prompt)
  }
  const stop = (): void => {
    clearTimeout(waiting.current)
    task.stop()
    takeBack()
  }
  const generate = async (choices: Choices, before: readonly Turn[], prompt: string): Promise<void> => {
    const lacking = missing(choices)
    if (lacking !== undefined) return task.fail(lacking)
    let turn: Turn = { prompt, coefficient: choices.coefficient, answers: { unsteered: EMPTY, steered: EMPTY } }
    const show = (news: Turn): void => setTurns([...before, (turn = news)])
    show(turn)
    const problem = await task.run(
      (signal) => connection.ask("generate", generateRequest(choices, before, prompt), signal),
      (event) => {
        if (event.type === "done") return
        show(grown(turn, event))
        const made = Math.max(...SIDES.map((side) => turn.answers[side].pieces.length))
        task.show("Generating", `${made} of ${choices.tokens} tokens`, made / choices.tokens)
      },
    )
    if (problem !== undefined) takeBack()
  }
  const redo = (choices: Choices): void => {
    const prompt = latest().at(-1)?.prompt ?? (choices.chat ? "" : choices.prompt)
    if (missing(choices) === undefined && prompt !== "") void generate(choices, latest().slice(0, -1), prompt)
  }
  return {
    task: { ...task, stop },
    turns,
    start: (choices) => {
      clearTimeout(waiting.current)
      takeBack()
      void generate(choices, choices.chat ? latest() : [], choices.prompt)
    },
    again: (choices) => {
      clearTimeout(waiting.current)
      waiting.current = setTimeout(() => redo(choices()), REST)
    },
    clear: () => {
      setTurns([])
      stop()
    },
  }
}

/** The turns; the second tells them as they are, between renderings too. */
function useTurns(): [readonly Turn[], () => readonly Turn[], (turns: readonly Turn[]) => void] {
  const [turns, setTurns] = useState<readonly Turn[]>([])
  const latest = useRef(turns)
  const set = (now: readonly Turn[]): void => {
    latest.current = now
    setTurns(now)
  }
  return [turns, () => latest.current, set]
}

type SideEvent = Extract<GenerateEvent, { readonly side: Side }>

/** The turn with what an event adds to one of its sides. */
export function grown(turn: Turn, event: SideEvent): Turn {
  return { ...turn, answers: { ...turn.answers, [event.side]: answerWith(turn.answers[event.side], event) } }
}

function answerWith(answer: Answer, event: SideEvent): Answer {
  if (event.type === "token") return { ...answer, pieces: [...answer.pieces, event.piece] }
  if (event.type === "end") return { ...answer, stopped: event.stopped }
  const logprobs = [...answer.logprobs]
  for (const [i, value] of event.values.entries()) logprobs[event.from + i] = value
  return { ...answer, logprobs }
}

export function generateRequest(choices: Choices, before: readonly Turn[], prompt: string): GenerateRequest {
  const { coefficient, where, tokens, temperature, chat } = choices
  const history = (side: Side): ChatMessage[] => [
    ...before.flatMap((turn) => [
      { role: "user", content: turn.prompt },
      { role: "assistant", content: turn.answers[side].pieces.join("") },
    ]),
    { role: "user", content: prompt },
  ]
  const input = chat ? { unsteered: history("unsteered"), steered: history("steered") } : { prompt }
  return { ...steeringOf(choices), coefficient, where, input, tokens, temperature, repetitionPenalty: REPETITION_PENALTY }
}
