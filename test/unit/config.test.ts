import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { inverseFrequencies, parseConfig, type LlamaConfig } from "../../src/engine/config.ts"
import { InputError } from "../../src/engine/errors.ts"

type Raw = Record<string, unknown>

const readJson = (path: string): Raw => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")) as Raw

const untyped = { factor: 32, high_freq_factor: 4, low_freq_factor: 1, original_max_position_embeddings: 8192 }

// Llama 3.2 1B, as its config.json has it.
const llama32: Raw = {
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  bos_token_id: 128000,
  eos_token_id: [128001, 128008, 128009],
  head_dim: 64,
  hidden_act: "silu",
  hidden_size: 2048,
  intermediate_size: 8192,
  max_position_embeddings: 131072,
  mlp_bias: false,
  model_type: "llama",
  num_attention_heads: 32,
  num_hidden_layers: 16,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_scaling: { ...untyped, rope_type: "llama3" },
  rope_theta: 500000,
  tie_word_embeddings: true,
  vocab_size: 128256,
}

const parse = (changes: Raw = {}, generation?: unknown): LlamaConfig => {
  const raw = Object.fromEntries(Object.entries({ ...llama32, ...changes }).filter(([, value]) => value !== undefined))
  return parseConfig(raw, generation, "m/config.json")
}

const scaling = { factor: 32, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 }

test("a whole config becomes one frozen record", () => {
  const config = parse()
  expect(config).toEqual({
    vocabSize: 128256,
    hiddenSize: 2048,
    intermediateSize: 8192,
    layers: 16,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    rmsNormEps: 1e-5,
    ropeTheta: 500000,
    ropeScaling: scaling,
    maxPositions: 131072,
    tiedEmbeddings: true,
    bosId: 128000,
    eosIds: [128001, 128008, 128009],
  })
  for (const part of [config, config.ropeScaling, config.eosIds]) expect(Object.isFrozen(part)).toBe(true)
})

describe("what may be absent or written otherwise", () => {
  const cases: [string, Raw, unknown, Partial<LlamaConfig>][] = [
    ["head_dim absent", { head_dim: undefined }, undefined, { headDim: 64 }],
    ["head_dim null", { head_dim: null }, undefined, { headDim: 64 }],
    ["head_dim other than hidden / heads", { head_dim: 128 }, undefined, { headDim: 128 }],
    ["num_key_value_heads absent", { num_key_value_heads: undefined }, undefined, { kvHeads: 32 }],
    ["tie_word_embeddings absent", { tie_word_embeddings: undefined }, undefined, { tiedEmbeddings: false }],
    ["hidden_act and biases absent", { hidden_act: undefined, attention_bias: undefined, mlp_bias: undefined }, undefined, {}],
    ["quantization_config null", { quantization_config: null }, undefined, {}],
    ["architectures absent", { architectures: undefined }, undefined, { layers: 16 }],
    ["model_type absent", { model_type: undefined }, undefined, { layers: 16 }],
    ["rope_scaling null", { rope_scaling: null }, undefined, { ropeScaling: null, ropeTheta: 500000 }],
    ["rope_scaling absent", { rope_scaling: undefined }, undefined, { ropeScaling: null }],
    ["rope_scaling default", { rope_scaling: { rope_type: "default" } }, undefined, { ropeScaling: null }],
    ["rope_theta absent", { rope_theta: undefined }, undefined, { ropeTheta: 10000 }],
    ["rope_scaling with the older type", { rope_scaling: { ...untyped, type: "llama3" } }, undefined, { ropeScaling: scaling }],
    [
      "rope_parameters",
      { rope_theta: undefined, rope_scaling: undefined, rope_parameters: { ...untyped, rope_type: "llama3", rope_theta: 7000 } },
      undefined,
      { ropeTheta: 7000, ropeScaling: scaling },
    ],
    [
      "rope_parameters without scaling",
      { rope_theta: undefined, rope_scaling: undefined, rope_parameters: { rope_type: "default", rope_theta: 7000 } },
      undefined,
      { ropeTheta: 7000, ropeScaling: null },
    ],
    ["one eos", { eos_token_id: 128001 }, undefined, { eosIds: [128001] }],
    ["eos of both files", { eos_token_id: 128001 }, { eos_token_id: [128009, 128001] }, { eosIds: [128001, 128009] }],
    ["eos of the generation alone", { eos_token_id: null }, { eos_token_id: 128009 }, { eosIds: [128009] }],
    ["no eos", { eos_token_id: undefined }, {}, { eosIds: [] }],
    ["bos of the generation alone", { bos_token_id: undefined }, { bos_token_id: 5 }, { bosId: 5 }],
    ["no bos", { bos_token_id: undefined }, undefined, { bosId: null }],
  ]
  test.each(cases)("%s", (_name, changes, generation, expected) => {
    expect(parse(changes, generation)).toMatchObject(expected)
  })
})

describe("what is refused, by name", () => {
  const cases: [Raw, string][] = [
    [
      { architectures: ["MistralForCausalLM"], model_type: "mistral" },
      "m/config.json: expected LlamaForCausalLM, found MistralForCausalLM; choose",
    ],
    [{ architectures: ["LlamaForSequenceClassification"] }, "expected LlamaForCausalLM, found LlamaForSequenceClassification"],
    [{ model_type: "gpt2" }, 'expected LlamaForCausalLM, found model_type "gpt2"'],
    [{ architectures: undefined, model_type: undefined }, "expected LlamaForCausalLM, found model_type nothing"],
    [{ architectures: [] }, "expected LlamaForCausalLM, found no architecture"],
    [{ architectures: "LlamaForCausalLM" }, 'm/config.json, architectures: expected a list of names, found "LlamaForCausalLM"'],
    [{ quantization_config: { quant_method: "gptq" } }, 'expected no quantization_config, found {"quant_method":"gptq"}'],
    [{ attention_bias: true }, "m/config.json, attention_bias: expected false: biases are not supported, found true"],
    [{ mlp_bias: true }, "m/config.json, mlp_bias: expected false: biases are not supported, found true"],
    [{ hidden_act: "gelu" }, 'm/config.json, hidden_act: expected silu, found "gelu"'],
    [{ vocab_size: undefined }, "m/config.json, vocab_size: expected a whole number of at least 1, found nothing"],
    [{ hidden_size: "2048" }, 'm/config.json, hidden_size: expected a whole number of at least 1, found "2048"'],
    [{ num_hidden_layers: 0 }, "m/config.json, num_hidden_layers: expected a whole number of at least 1, found 0"],
    [{ intermediate_size: 1.5 }, "m/config.json, intermediate_size: expected a whole number of at least 1, found 1.5"],
    [{ rms_norm_eps: -1 }, "m/config.json, rms_norm_eps: expected a positive number, found -1"],
    [{ rope_theta: 0 }, "m/config.json, rope_theta: expected a positive number, found 0"],
    [{ tie_word_embeddings: "yes" }, 'm/config.json, tie_word_embeddings: expected true or false, found "yes"'],
    [{ num_key_value_heads: 5 }, "m/config.json, num_key_value_heads: expected a divisor of 32 heads, found 5"],
    [{ num_key_value_heads: 64 }, "m/config.json, num_key_value_heads: expected a divisor of 32 heads, found 64"],
    [{ head_dim: undefined, hidden_size: 2050 }, "m/config.json, hidden_size: expected a multiple of 32 heads, found 2050"],
    [{ head_dim: 63 }, "m/config.json, head_dim: expected an even number, found 63"],
    [{ eos_token_id: "x" }, 'm/config.json, eos_token_id: expected a token id or a list of them, found "x"'],
    [{ bos_token_id: -1 }, "m/config.json, bos_token_id: expected a token id, found -1"],
    [
      { rope_scaling: { rope_type: "yarn", factor: 4 } },
      'm/config.json, rope_scaling.rope_type: expected llama3 or default, found "yarn"',
    ],
    [
      { rope_scaling: { type: "linear", factor: 4 } },
      'm/config.json, rope_scaling.rope_type: expected llama3 or default, found "linear"',
    ],
    [{ rope_scaling: untyped }, "m/config.json, rope_scaling.rope_type: expected llama3 or default, found nothing"],
    [
      { rope_parameters: { rope_type: "yarn" } },
      'm/config.json, rope_parameters.rope_type: expected llama3 or default, found "yarn"',
    ],
    [
      { rope_scaling: { rope_type: "llama3" } },
      "m/config.json, rope_scaling, factor: expected a number of at least 1, found nothing",
    ],
    [
      { rope_scaling: { ...untyped, rope_type: "llama3", high_freq_factor: 1 } },
      "m/config.json, rope_scaling, high_freq_factor: expected more than low_freq_factor (1), found 1",
    ],
    [
      { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } },
      "m/config.json, rope_parameters.partial_rotary_factor: expected 1: all of a head rotates, found 0.5",
    ],
  ]
  test.each(cases)("%j", (changes, message) => {
    expect(() => parse(changes)).toThrow(InputError)
    expect(() => parse(changes)).toThrow(message)
  })

  test.each([[null], [[]], ["text"]])("%j in place of a config", (config) => {
    expect(() => parseConfig(config, undefined, "m/config.json")).toThrow(/^m\/config\.json: expected an object, found /)
  })

  test("a broken generation_config.json", () => {
    const message = 'm/generation_config.json, eos_token_id: expected a token id or a list of them, found ["x"]'
    expect(() => parse({}, { eos_token_id: ["x"] })).toThrow(message)
    expect(() => parse({}, [])).toThrow("m/generation_config.json: expected an object, found []")
  })
})

describe("inverse frequencies", () => {
  test("of the embedded model are the reference's", () => {
    const config = parseConfig(readJson("models/tiny-talk/config.json"), undefined, "config.json")
    const expected = readJson("test/fixtures/reference.json")["inv_freq"] as number[]
    const found = inverseFrequencies(config)
    expect(found).toHaveLength(16)
    // The reference was computed in f32, as transformers does.
    for (const [i, f] of found.entries()) expect(Math.abs(f / (expected[i] as number) - 1)).toBeLessThan(3e-7)
  })

  test("without scaling are powers of theta", () => {
    const found = inverseFrequencies({ headDim: 4, ropeTheta: 100, ropeScaling: null })
    expect([...found]).toEqual([1, 0.1])
  })

  test("with scaling keep the fast, stretch the slow, and blend between", () => {
    const plain = inverseFrequencies({ headDim: 64, ropeTheta: 500000, ropeScaling: null })
    const found = inverseFrequencies({ headDim: 64, ropeTheta: 500000, ropeScaling: scaling })
    const ratios = [...found].map((f, i) => f / (plain[i] as number))
    expect(ratios.slice(0, 15)).toEqual(Array(15).fill(1))
    expect(ratios.at(-1)).toBeCloseTo(1 / 32, 12)
    const between = ratios.filter((ratio) => ratio < 1 - 1e-9 && ratio > 1 / 32 + 1e-9)
    expect(between.length).toBeGreaterThan(1)
    expect(between).toEqual([...between].sort((a, b) => b - a))
  })
})
