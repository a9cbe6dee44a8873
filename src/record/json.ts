/**
 * A strict JSON reader (RFC 8259) for what devices send. JSON.parse would do three things that lose evidence: keep the
 * last of two equal keys, round integers above 2^53, and let lone surrogates through, which no UTF-8 can hold.
 * Here the first is an error, the second is kept digit for digit, the third is an error; and nesting is bounded.
 */
export type JsonValue = string | number | ExactNumber | boolean | null | JsonValue[] | JsonObject;
export type JsonObject = Map<string, JsonValue>;

/** A number that is not a safe integer, by its source text: `1e400`, `0.5`, `9007199254740993`. */
export class ExactNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/** Says what is wrong and at which character. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** An envelope nests three deep (envelope, record, byte array); ten megabytes of `[` must not nest at all. */
const depthMax = 8;
/** The longest source of a number worth keeping: a u64 has 20 digits. */
const numberCharactersMax = 64;

/** @throws JsonError */
export function parseJson(text: string): JsonValue {
  return new JsonReader(text).document();
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const space = 0x20;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;

const needsCare = /[\\\u0000-\u001f\ud800-\udfff]/;
const numberToken = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const escapes: Record<string, string> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#error('unexpected text after the JSON value');
    return value;
  }

  #error(what: string): JsonError {
    return new JsonError(`${what} at character ${this.#at + 1}`);
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== space && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #value(depth: number): JsonValue {
    this.#skipSpace();
    const code = this.#text.charCodeAt(this.#at);
    if (code === quote) return this.#string();
    if (code === minus || (code >= zero && code <= nine)) return this.#number();
    if (code === 0x7b) return this.#object(depth);
    if (code === 0x5b) return this.#array(depth);
    if (this.#text.startsWith('true', this.#at)) return this.#literal(4, true);
    if (this.#text.startsWith('false', this.#at)) return this.#literal(5, false);
    if (this.#text.startsWith('null', this.#at)) return this.#literal(4, null);
    throw this.#error(Number.isNaN(code) ? 'the JSON ends too early' : 'unexpected character');
  }

  #literal<T>(characters: number, value: T): T {
    this.#at += characters;
    return value;
  }

  #object(depth: number): JsonObject {
    if (depth >= depthMax) throw this.#error(`more than ${depthMax} levels of nesting`);
    const object: JsonObject = new Map();
    this.#at++;
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) === 0x7d) return this.#literal(1, object);
    for (;;) {
      this.#skipSpace();
      if (this.#text.charCodeAt(this.#at) !== quote) throw this.#error('expected a key in double quotes');
      const key = this.#string();
      if (object.has(key)) throw this.#error(`the key ${JSON.stringify(key.slice(0, 64))} stands twice`);
      this.#skipSpace();
      if (this.#text.charCodeAt(this.#at) !== colon) throw this.#error("expected ':'");
      this.#at++;
      object.set(key, this.#value(depth + 1));
      if (this.#closes(0x7d, '}')) return object;
    }
  }

  #array(depth: number): JsonValue[] {
    if (depth >= depthMax) throw this.#error(`more than ${depthMax} levels of nesting`);
    const array: JsonValue[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) === 0x5d) return this.#literal(1, array);
    for (;;) {
      array.push(this.#value(depth + 1));
      if (this.#closes(0x5d, ']')) return array;
    }
  }

  /** Past a comma: false. Past the closing bracket: true. */
  #closes(bracket: number, character: string): boolean {
    this.#skipSpace();
    const code = this.#text.charCodeAt(this.#at);
    if (code !== comma && code !== bracket) throw this.#error(`expected ',' or '${character}'`);
    this.#at++;
    return code === bracket;
  }

  /** A byte of an array: one to three digits before a comma or the end. Reads nothing otherwise. */
  #byte(): number | undefined {
    let value = 0;
    for (let digits = 0; digits <= 3; digits++) {
      const code = this.#text.charCodeAt(this.#at + digits);
      if (code >= zero && code <= nine && (value > 0 || digits === 0)) value = value * 10 + code - zero;
      else if (digits > 0 && (code === comma || code === 0x5d)) return this.#literal(digits, value);
      else break;
    }
    return undefined;
  }

  #number(): number | ExactNumber {
    // Devices send hashes and signature as 128 integers: without this a record takes nearly twice as long to parse.
    const byte = this.#byte();
    if (byte !== undefined) return byte;
    numberToken.lastIndex = this.#at;
    const source = numberToken.exec(this.#text)?.[0];
    if (source === undefined) throw this.#error('not a JSON number');
    if (source.length > numberCharactersMax)
      throw this.#error(`a number of more than ${numberCharactersMax} characters`);
    this.#at += source.length;
    const value = Number(source);
    // Only the canonical text of a safe integer is a number: -0, 1.0 and 1e3 keep their source.
    return Number.isSafeInteger(value) && String(value) === source ? value : new ExactNumber(source);
  }

  #string(): string {
    const start = this.#at + 1;
    const end = this.#text.indexOf('"', start);
    if (end < 0) throw this.#error('a string without an end');
    const plain = this.#text.slice(start, end);
    if (!needsCare.test(plain)) {
      this.#at = end + 1;
      return plain;
    }
    return this.#escapedString(start);
  }

  #escapedString(start: number): string {
    const parts: string[] = [];
    let from = start;
    for (this.#at = start; ; ) {
      const code = this.#text.charCodeAt(this.#at);
      if (Number.isNaN(code)) throw this.#error('a string without an end');
      if (code < space) throw this.#error('a control character inside a string');
      if (code === quote || code === backslash) {
        parts.push(this.#text.slice(from, this.#at));
        if (code === quote) break;
        parts.push(this.#escape());
        from = this.#at;
      } else this.#at++;
    }
    this.#at++;
    const value = parts.join('');
    if (!value.isWellFormed()) throw this.#error('a lone surrogate in the string that ends');
    return value;
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    if (letter === 'u') {
      const hex = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#error('a \\u escape needs four hexadecimal digits');
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const character = Object.hasOwn(escapes, letter) ? escapes[letter] : undefined;
    if (character === undefined) throw this.#error('unknown escape');
    this.#at += 2;
    return character;
  }
}
