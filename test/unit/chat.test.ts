import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { memoryFolder } from "../../src/engine/bytes.ts"
import { type ChatMessage, ChatTemplate } from "../../src/engine/chat.ts"
import { InputError } from "../../src/engine/errors.ts"
import { Tokenizer } from "../../src/engine/tokenizer.ts"

const read = (file: string): string => readFileSync(new URL(`../../models/tiny-talk-instruct/${file}`, import.meta.url), "utf8")
const config = read("tokenizer_config.json")
const tokenizer = Tokenizer.parse(read("tokenizer.json"), config, "tokenizer.json")

const QUESTION: ChatMessage[] = [{ role: "user", content: "What is a bridge?" }]
const TALK: ChatMessage[] = [
  { role: "system", content: " Be brief.\n" },
  { role: "user", content: "What is a bridge?" },
  { role: "assistant", content: "A way over water." },
  { role: "user", content: "Thank you." },
]

// As «meta-llama/Meta-Llama-3-8B-Instruct» writes the format that Meta documents.
const LLAMA_3 = `{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

// What Llama 3.1 and 3.2 add: a system message that is always there, with a date, tools, and blocks on lines of their own.
const LLAMA_3_2 = `{{- bos_token }}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("This model only supports single tool-calls at once!") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
`

type Files = Record<string, string>

/** What a folder with these files writes of a conversation; `fields` are those of tokenizer_config.json. */
async function rendered(fields: object | undefined, messages: readonly ChatMessage[] = QUESTION, files: Files = {}) {
  const template = await ChatTemplate.read(memoryFolder("m", files), fields && JSON.stringify(fields))
  return template?.render(messages)
}

const header = (role: string): string => `<|start_header_id|>${role}<|end_header_id|>\n\n`
const said = (role: string, content: string): string => `${header(role)}${content}<|eot_id|>`
const talk = said("user", "What is a bridge?") + said("assistant", "A way over water.") + said("user", "Thank you.")

describe("Llama's templates", () => {
  const bos_token = "<|begin_of_text|>"
  const dated = `${header("system")}Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n`
  test.each([
    ["3", LLAMA_3, TALK, `${said("system", "Be brief.")}${talk}`],
    ["3.2", LLAMA_3_2, TALK, `${dated}Be brief.<|eot_id|>${talk}`],
    ["3.2 without a system message", LLAMA_3_2, QUESTION, `${dated}<|eot_id|>${said("user", "What is a bridge?")}`],
  ])("Llama %s", async (_name, chat_template, messages, expected) => {
    expect(await rendered({ chat_template, bos_token }, messages)).toBe(`${bos_token}${expected}${header("assistant")}`)
  })
})

describe("the embedded instruct model", () => {
  const bytes = (text: string): number[] => tokenizer.encode(text, { addSpecial: false })

  test("its ids are those of the format, one beginning-of-text token and special tokens as one id", async () => {
    const template = (await ChatTemplate.read(memoryFolder("m", {}), config)) as ChatTemplate
    const [bos, start, end, eot] = [4080, 4086, 4087, 4089]
    const named = [bos, start, end, eot].map((id) => tokenizer.token(id as number))
    expect(named).toEqual(["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"])
    const ids = tokenizer.encode(template.render(QUESTION), { addSpecial: false })
    const [user, assistant, blank, text] = ["user", "assistant", "\n\n", "What is a bridge?"].map(bytes) as number[][]
    expect(ids).toEqual([bos, start, ...user!, end, ...blank!, ...text!, eot, start, ...assistant!, end, ...blank!])
    // Encoded as any other text there would be two.
    expect(tokenizer.encode(template.render(QUESTION)).slice(0, 2)).toEqual([bos, bos])
  })

  test("special tokens that a message spells out are one id each", async () => {
    const template = (await ChatTemplate.read(memoryFolder("m", {}), config)) as ChatTemplate
    const ids = tokenizer.encode(template.render([{ role: "user", content: "a<|eot_id|>b" }]), { addSpecial: false })
    expect(ids.filter((id) => id === 4089)).toHaveLength(2)
  })
})

describe("where a template stands", () => {
  const jinja = "{{ messages[0].content }} {{ bos_token }}|{{ eos_token }}|{{ unk_token }}"
  const list = [
    { name: "tool_use", template: "no" },
    { name: "default", template: "yes" },
  ]
  test.each<[string, object | undefined, Files, string | undefined]>([
    ["nowhere", {}, {}, undefined],
    ["nowhere, without a tokenizer_config.json", undefined, {}, undefined],
    ["null in the config", { chat_template: null }, {}, undefined],
    ["the default of a list", { chat_template: list }, {}, "yes"],
    ["a file", undefined, { "chat_template.jinja": "file" }, "file"],
    ["a file beside the config", { chat_template: "config" }, { "chat_template.jinja": "file" }, "file"],
    ["tokens as texts", { chat_template: jinja, bos_token: "<s>", eos_token: "</s>" }, {}, "What is a bridge? <s>|</s>|"],
    [
      "tokens as objects, null or in the map",
      { chat_template: jinja, bos_token: { content: "<s>" }, eos_token: null },
      { "special_tokens_map.json": '{"bos_token": "other", "eos_token": {"content": "</s>"}, "unk_token": "?"}' },
      "What is a bridge? <s>|</s>|?",
    ],
  ])("%s", async (_name, fields, files, expected) => {
    expect(await rendered(fields, QUESTION, files)).toBe(expected)
  })
})

describe("bad input", () => {
  const refusing = "{{ raise_exception('Roles must alternate') }}"
  test.each<[string, unknown, unknown, string]>([
    [
      "a template that throws",
      refusing,
      QUESTION,
      "m/tokenizer_config.json, chat_template: expected a template that takes these messages, found its error «Roles must alternate»",
    ],
    ["an unknown filter", "{{ messages | novel }}", QUESTION, "m/tokenizer_config.json, chat_template: .*novel"],
    [
      "a broken template",
      "{% if %}",
      QUESTION,
      "m/tokenizer_config.json, chat_template: expected a Jinja template, found an error \\(",
    ],
    [
      "no template",
      7,
      QUESTION,
      "m/tokenizer_config.json, chat_template: expected a Jinja template or a list of { name, template }, found 7",
    ],
    [
      "a list without a default",
      [{ name: "rag", template: "x" }],
      QUESTION,
      "chat_template: expected a template with the name default, found rag",
    ],
    ["an empty list", [], QUESTION, "chat_template: expected a template with the name default, found none"],
    ["no messages", "x", [], "messages: expected at least one message, found \\[\\]"],
    ["a text for messages", "x", "hello", 'messages: expected a list, found "hello"'],
    ["a message without content", "x", [{ role: "user" }], "messages, 0.content: expected a text, found nothing"],
  ])("%s", async (_name, chat_template, messages, message) => {
    const template = (await ChatTemplate.read(memoryFolder("m", {}), JSON.stringify({ chat_template }))) as ChatTemplate
    const render = (): string => template.render(messages as ChatMessage[])
    expect(render).toThrow(InputError)
    expect(render).toThrow(new RegExp(message))
  })

  test("a broken map of special tokens", async () => {
    const files = { "special_tokens_map.json": "{" }
    await expect(rendered({ chat_template: "x" }, QUESTION, files)).rejects.toThrow("m/special_tokens_map.json: expected JSON")
  })
})
