import { Tokenizer as Library } from "@huggingface/tokenizers"
import { InputError } from "./errors.ts"
import { parseJson, reason } from "./json.ts"

export interface DecodeOptions {
  /** Spells special tokens out instead of leaving them away. */
  readonly special?: boolean
}

export interface EncodeOptions {
  /** False leaves away what the post-processor adds: for a text that spells its special tokens out, as a chat template's. */
  readonly addSpecial?: boolean
}

const REPLACEMENT = "\uFFFD"

/** Turns text into token ids and back, as a model's tokenizer.json says. */
export class Tokenizer {
  readonly #library: Library
  readonly #special: ReadonlySet<number>
  readonly #where: string

  private constructor(library: Library, where: string) {
    this.#library = library
    this.#where = where
    const added = [...library.get_added_tokens_decoder()]
    this.#special = new Set(added.filter(([, token]) => token.special).map(([id]) => id))
  }

  /**
   * @param tokenizerConfigJson The text of tokenizer_config.json, where there is one.
   * @param where Names tokenizer.json in the messages.
   * @throws InputError when a text is not JSON or tokenizer.json describes no tokenizer.
   */
  static parse(tokenizerJson: string, tokenizerConfigJson: string | undefined, where: string): Tokenizer {
    const tokenizer = parseJson(tokenizerJson, where)
    const configWhere = where.replace(/tokenizer\.json$/, "tokenizer_config.json")
    const config = tokenizerConfigJson === undefined ? {} : parseJson(tokenizerConfigJson, configWhere)
    try {
      return new Tokenizer(new Library(tokenizer as object, config as object), where)
    } catch (error) {
      throw new InputError({ where, expected: "a Hugging Face tokenizer", found: reason(error) }, { cause: error })
    }
  }

  /**
   * The ids of a text, with what the post-processor adds: Llama 3's beginning-of-text token. A special token that the text
   * spells out is one id.
   * @throws InputError when the post-processor adds a token that the vocabulary lacks.
   */
  encode(text: string, { addSpecial = true }: EncodeOptions = {}): number[] {
    const { ids, tokens } = this.#library.encode(text, { add_special_tokens: addSpecial })
    const unknown = (ids as (number | undefined)[]).findIndex((id) => id === undefined)
    if (unknown === -1) return ids
    throw new InputError({ where: this.#where, expected: "tokens of its own vocabulary", found: String(tokens[unknown]) })
  }

  /** The text of ids, spaces as they are. Ids without a token give nothing, broken UTF-8 gives U+FFFD. */
  decode(ids: readonly number[], options: DecodeOptions = {}): string {
    const kept = ids.filter((id) => this.token(id) !== undefined && (options.special === true || !this.isSpecial(id)))
    if (kept.length === 0) return "" // the library refuses an empty list
    return this.#library.decode(kept, { skip_special_tokens: false, clean_up_tokenization_spaces: false })
  }

  /** The id of an entry of the vocabulary; undefined when there is none. */
  id(token: string): number | undefined {
    return this.#library.token_to_id(token)
  }

  /** An id's entry in the vocabulary (byte-level: «Ġthe» for « the»); undefined when there is none. */
  token(id: number): string | undefined {
    return this.#library.id_to_token(id)
  }

  /** Says that {@link decode} leaves this id away. */
  isSpecial(id: number): boolean {
    return this.#special.has(id)
  }

  /** Decodes ids one by one as they are generated. */
  stream(options: DecodeOptions = {}): TokenStream {
    return new TokenStream(this, options)
  }
}

/** Text of ids that come one by one: the pieces together are what {@link Tokenizer.decode} makes of all ids. */
export class TokenStream {
  readonly #tokenizer: Tokenizer
  readonly #options: DecodeOptions
  /** The ids of the last piece, for decoders that treat the first token otherwise, then those not yet given out. */
  #ids: number[] = []
  #givenIds = 0
  #given = ""

  constructor(tokenizer: Tokenizer, options: DecodeOptions) {
    this.#tokenizer = tokenizer
    this.#options = options
  }

  /** The text that `id` completes: nothing while a character lacks bytes. */
  push(id: number): string {
    this.#ids.push(id)
    const text = this.#tokenizer.decode(this.#ids, this.#options)
    // More bytes may still turn a replacement character at the end into another.
    return text.endsWith(REPLACEMENT) ? "" : this.#give(text)
  }

  /** The text that is still held back. */
  end(): string {
    const piece = this.#give(this.#tokenizer.decode(this.#ids, this.#options))
    this.#ids = []
    this.#givenIds = 0
    this.#given = ""
    return piece
  }

  #give(text: string): string {
    const piece = text.slice(this.#given.length)
    if (piece === "") return ""
    this.#ids = this.#ids.slice(this.#givenIds)
    this.#givenIds = this.#ids.length
    this.#given = this.#tokenizer.decode(this.#ids, this.#options)
    return piece
  }
}
