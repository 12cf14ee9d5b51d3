import type { Catalogue, ModelChoice, SteeredPart, SteeringChoice, VectorChoice } from "../protocol.ts"

/** All that a visitor has chosen: what a shared link says. */
export interface Choices {
  readonly model: string
  /** A name of the catalogue; empty where the vector is trained from the two prompts. */
  readonly vector: string
  readonly positive: string
  readonly negative: string
  /** None is the vector's own. */
  readonly layers: readonly number[]
  /** What the search continues or, in a chat, answers. */
  readonly prompts: readonly string[]
  /** `auto`, or as on the command line. */
  readonly coefficients: string
  readonly searchTokens: number
  readonly chat: boolean
  /** The text that both sides continue, or the message that they answer. */
  readonly prompt: string
  readonly coefficient: number
  readonly where: SteeredPart
  readonly tokens: number
  readonly temperature: number
}

export const STEERED_PARTS: Readonly<Record<SteeredPart, string>> = {
  all: "everywhere",
  prompt: "the prompt",
  generated: "what is generated",
  last: "the last token",
}

/** What a page begins with: a vector that is there, on the first model that it fits. */
export function firstChoices({ models, vectors, limits }: Catalogue, name: string | null = null): Choices {
  const model = models.find((one) => one.name === name) ?? (models[0] as ModelChoice)
  return {
    model: model.name,
    vector: vectors.find((vector) => vector.models.includes(model.name))?.name ?? "",
    positive: "",
    negative: "",
    layers: [],
    prompts: [model.prompt],
    coefficients: "auto",
    searchTokens: Math.min(24, limits.tokens),
    chat: model.chat,
    prompt: model.prompt,
    coefficient: 0,
    where: "all",
    tokens: Math.min(40, limits.tokens),
    temperature: 0,
  }
}

/** The token that a link to a server may hold beside the choices. */
export const tokenOf = (hash: string): string | null => new URLSearchParams(hash.replace(/^#/, "")).get("token")

/** What a link's hash says, and for the rest, and what does not fit the catalogue, what a page begins with. */
export function readChoices(hash: string, catalogue: Catalogue): Choices {
  const said = new URLSearchParams(hash.replace(/^#/, ""))
  const first = firstChoices(catalogue, said.get("model"))
  const { limits } = catalogue
  const number = (name: string, otherwise: number, low: number, high: number): number => {
    const value = Number(said.get(name) ?? Number.NaN)
    return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise
  }
  const text = (name: string, otherwise: string): string => (said.get(name) ?? otherwise).slice(0, limits.characters)
  const whole = (name: string, otherwise: number): number => Math.round(number(name, otherwise, 1, limits.tokens))
  const trained = said.has("positive") || said.has("negative")
  const vector = vectorOf({ model: first.model, vector: said.get("vector") ?? "" }, catalogue)
  const layers = (said.get("layers") ?? "").split(",").filter((part) => part !== "")
  const where = said.get("where") ?? ""
  return {
    ...first,
    vector: vector?.name ?? (trained ? "" : first.vector),
    positive: text("positive", ""),
    negative: text("negative", ""),
    layers: layers
      .map(Number)
      .filter((layer) => Number.isInteger(layer) && layer >= 0 && layer < modelOf(first, catalogue).layers),
    prompts: said.has("search") ? said.getAll("search").slice(0, limits.prompts) : first.prompts,
    coefficients: text("coefficients", first.coefficients),
    searchTokens: whole("search-tokens", first.searchTokens),
    chat: first.chat && said.get("chat") !== "no",
    prompt: text("prompt", first.prompt),
    coefficient: number("coefficient", 0, -1e6, 1e6),
    where: Object.hasOwn(STEERED_PARTS, where) ? (where as SteeredPart) : first.where,
    tokens: whole("tokens", first.tokens),
    temperature: number("temperature", 0, 0, 10),
  }
}

/** The hash of a link: what differs from the beginning, with the model and the vector always. */
export function writeChoices(choices: Choices, catalogue: Catalogue): string {
  const first = firstChoices(catalogue, choices.model)
  const said = new URLSearchParams({ model: choices.model })
  if (choices.vector !== "") said.set("vector", choices.vector)
  else for (const side of ["positive", "negative"] as const) said.set(side, choices[side])
  const tell = (
    name: string,
    key: "coefficients" | "searchTokens" | "prompt" | "coefficient" | "where" | "tokens" | "temperature",
  ) => {
    if (choices[key] !== first[key]) said.set(name, `${choices[key]}`)
  }
  if (choices.layers.length > 0) said.set("layers", choices.layers.join(","))
  if (choices.prompts.join("\n") !== first.prompts.join("\n")) for (const one of choices.prompts) said.append("search", one)
  tell("coefficients", "coefficients")
  tell("search-tokens", "searchTokens")
  if (choices.chat !== first.chat) said.set("chat", "no")
  tell("prompt", "prompt")
  tell("coefficient", "coefficient")
  tell("where", "where")
  tell("tokens", "tokens")
  tell("temperature", "temperature")
  return `#${said}`
}

export const modelOf = ({ model }: Pick<Choices, "model">, { models }: Catalogue): ModelChoice =>
  models.find(({ name }) => name === model) ?? (models[0] as ModelChoice)

/** The catalogue's vector that is chosen, as it is for the model. */
export const vectorOf = (
  { model, vector }: Pick<Choices, "model" | "vector">,
  { vectors }: Catalogue,
): VectorChoice | undefined => vectors.find(({ name, models }) => name === vector && models.includes(model))

/** The vector and its layers, as a request says them. */
export function steeringOf({ model, vector, positive, negative, layers }: Choices): SteeringChoice {
  return {
    model,
    vector: vector === "" ? { positive, negative } : { name: vector },
    ...(layers.length > 0 && { layers }),
  }
}

/** What is still to be filled in before anything can run; undefined when nothing is. */
export function missing({ vector, positive, negative }: Choices): string | undefined {
  if (vector !== "") return undefined
  if (positive.trim() === "" || negative.trim() === "") return "Type both a positive and a negative prompt, or choose a vector."
  return positive === negative ? "The two prompts are the same: make them differ in what you want to steer." : undefined
}
