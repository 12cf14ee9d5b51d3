import { Template } from "@huggingface/jinja"
import * as z from "zod"
import type { Folder } from "./bytes.ts"
import { InputError } from "./errors.ts"
import { checkShape, parseJson, reason } from "./json.ts"

/** A message of a conversation: Llama 3 knows the roles system, user, assistant and ipython. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
}

/** A template's text and where it stands. */
interface Source {
  readonly template: string
  readonly where: string
}

const CONFIG = "tokenizer_config.json"
const JINJA = "chat_template.jinja"

// Llama 3.2's template takes today's date unless it is told one: the same prompt would give other ids tomorrow. This is the
// date that Llama's templates fall back to.
const DATE = "26 Jul 2024"

const messagesShape = z
  .array(z.looseObject({ role: z.string("a text"), content: z.string("a text") }, "a message { role, content }"), "a list")
  .min(1, "at least one message")
const named = z.looseObject({ name: z.string("a text"), template: z.string("a text") }, "{ name, template }")
const templateShape = z.union([z.string(), z.array(named)], "a Jinja template or a list of { name, template }")

/** Writes a conversation as the text that an instruct model was trained on: Hugging Face's Jinja chat templates. */
export class ChatTemplate {
  readonly #source: () => Source
  readonly #tokens: () => Record<string, string>
  #compiled: { readonly template: Template; readonly where: string } | undefined

  private constructor(source: () => Source, tokens: () => Record<string, string>) {
    this.#source = source
    this.#tokens = tokens
  }

  /**
   * The template of a model's folder: chat_template.jinja, or that of tokenizer_config.json; undefined when it has none. What is
   * wrong with it is said when it is used: the model runs without.
   * @param configJson The text of tokenizer_config.json, where there is one.
   */
  static async read(folder: Folder, configJson: string | undefined): Promise<ChatTemplate | undefined> {
    const config = configJson === undefined ? {} : fieldsOf(parseJson(configJson, `${folder.name}/${CONFIG}`))
    const file = await folder.readText(JINJA)
    const inConfig = config["chat_template"] ?? undefined
    if (file === undefined && inConfig === undefined) return undefined
    const map = await folder.readText("special_tokens_map.json")
    const mapFields = (): Fields => (map === undefined ? {} : fieldsOf(parseJson(map, `${folder.name}/special_tokens_map.json`)))
    const source = (): Source =>
      file === undefined
        ? defaultOf(inConfig, `${folder.name}/${CONFIG}, chat_template`)
        : { template: file, where: `${folder.name}/${JINJA}` }
    return new ChatTemplate(source, () => ({ ...tokensOf(mapFields()), ...tokensOf(config) }))
  }

  /**
   * The text of a conversation, with the beginning of the assistant's answer. Tools are none, and `date_string` is 26 Jul 2024;
   * a template that asks for the time without heeding that gets today's.
   * @throws InputError for messages that the template refuses, or a template that is none.
   */
  render(messages: readonly ChatMessage[]): string {
    checkShape(messagesShape, messages, "messages")
    const { template, where } = (this.#compiled ??= compile(this.#source()))
    const given = { messages, add_generation_prompt: true, tools: null, documents: null, date_string: DATE }
    const tokens = this.#tokens()
    try {
      return template.render({ ...tokens, ...given })
    } catch (error) {
      const expected = "a template that takes these messages"
      const found = `its error «${reason(error)}»`
      throw new InputError({ where, expected, found, todo: "give other messages or another template" }, { cause: error })
    }
  }
}

function compile({ template, where }: Source): { template: Template; where: string } {
  try {
    return { template: new Template(template), where }
  } catch (error) {
    throw new InputError({ where, expected: "a Jinja template", found: `an error (${reason(error)})` }, { cause: error })
  }
}

/** Of several templates the one that is called default, as transformers chooses. */
function defaultOf(value: unknown, where: string): Source {
  const templates = checkShape(templateShape, value, where)
  if (typeof templates === "string") return { template: templates, where }
  const found = templates.find(({ name }) => name === "default")
  if (found) return { template: found.template, where }
  const names = templates.map(({ name }) => name).join(", ")
  throw new InputError({ where, expected: "a template with the name default", found: names === "" ? "none" : names })
}

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields => (typeof value === "object" && value !== null ? (value as Fields) : {})

/** The special tokens of a file: bos_token, eos_token and their like, texts or { content }. */
function tokensOf(fields: Fields): Record<string, string> {
  const tokens = Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    const content = typeof value === "string" ? value : fieldsOf(value)["content"]
    return name.endsWith("_token") && typeof content === "string" ? [[name, content]] : []
  })
  return Object.fromEntries(tokens)
}
