import { z } from "zod"
import { checkShape } from "../../src/engine/json.ts"
import { type Checkpoint, InputError, type LlamaConfig } from "../../src/index.ts"
import type { GgufValue } from "../../src/steering/gguf-write.ts"

/** llama.cpp's numbers for kinds of tokens. */
const KIND = { normal: 1, control: 3, userDefined: 4, unused: 5 } as const

/** How Llama 3 splits a text before its merges: what llama.cpp calls «llama-bpe», and the only split that is converted. */
const LLAMA_3_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const tokenizerShape = z.object(
  {
    model: z.object(
      {
        type: z.literal("BPE", "BPE"),
        vocab: z.record(z.string(), z.int("an id")),
        merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])], "two tokens")),
      },
      "a model",
    ),
    added_tokens: z.array(z.object({ id: z.int("an id"), content: z.string("a text"), special: z.boolean("true or false") })),
    pre_tokenizer: z.unknown(),
  },
  "an object",
)

/**
 * The metadata that tells llama.cpp the tokens of a model: those of its tokenizer.json, or as many without a text where it has
 * none, since node-llama-cpp ends the process when a file says that it has no tokenizer.
 * @param tokenizerJson parsed, undefined where there is none
 * @throws InputError for a tokenizer that is not Llama 3's kind.
 */
export function tokenizerMetadata(
  { config, tokenizer }: Pick<Checkpoint, "config" | "tokenizer">,
  tokenizerJson: unknown,
  where: string,
): [string, GgufValue][] {
  const { bosId, eosIds } = config
  const { texts, kinds, merges } = tokenizer ? readTokens(config, tokenizerJson, where) : noTokens(config)
  const ends = Object.entries({ bos_token_id: bosId, eos_token_id: eosIds[0] })
  return [
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", "llama-bpe"],
    ["tokenizer.ggml.tokens", { texts }],
    ["tokenizer.ggml.token_type", { i32: kinds }],
    ["tokenizer.ggml.merges", { texts: merges }],
    ...ends.flatMap(([key, id]): [string, GgufValue][] => (typeof id === "number" ? [[`tokenizer.ggml.${key}`, id]] : [])),
    ["tokenizer.ggml.add_bos_token", tokenizer !== undefined && bosId !== null && tokenizer.encode("a")[0] === bosId],
  ]
}

interface Tokens {
  readonly texts: string[]
  readonly kinds: Int32Array
  readonly merges: readonly string[]
}

function noTokens({ vocabSize }: LlamaConfig): Tokens {
  const texts = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`)
  return { texts, kinds: new Int32Array(vocabSize).fill(KIND.unused), merges: [] }
}

function readTokens(config: LlamaConfig, json: unknown, where: string): Tokens {
  const { model, added_tokens: added, pre_tokenizer: split } = checkShape(tokenizerShape, json, where)
  if (!JSON.stringify(split ?? null).includes(JSON.stringify(LLAMA_3_SPLIT))) {
    throw new InputError({ where: `${where}, pre_tokenizer`, expected: "Llama 3's split", found: "another" })
  }
  const { texts, kinds } = noTokens(config)
  const put = (id: number, token: string, kind: number): void => {
    if (!(id >= 0 && id < texts.length)) {
      const [expected, found] = [`ids below the vocabulary's size, ${texts.length}`, `${id}`]
      throw new InputError({ where: `${where}, ${token}`, expected, found })
    }
    texts[id] = token
    kinds[id] = kind
  }
  for (const [token, id] of Object.entries(model.vocab)) put(id, token, KIND.normal)
  for (const { id, content, special } of added) put(id, content, special ? KIND.control : KIND.userDefined)
  return { texts, kinds, merges: model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" "))) }
}
