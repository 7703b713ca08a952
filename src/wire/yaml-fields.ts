/**
 * YAML that somebody has written by hand, read field by field: each fault is told with its line and column. What makes YAML
 * slow or surprising is refused: aliases, tags, more words and marks than a file of that size has by hand.
 */
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

/** A place in a file; both count from 1. */
export interface YamlPlace {
  readonly line: number;
  readonly column: number;
}

/** A file that was read. */
export interface YamlFile {
  readonly root: Fields;
  /** Where a path of keys and indices leads, as far as it does. */
  placeOf(path: readonly (string | number)[]): YamlPlace;
}

/** Reads a file whose root is a mapping. Refuses with FLOW_UNREADABLE. */
export function readYaml(text: string, what: string): YamlFile {
  const lines = new LineCounter();
  const document = parse(text, lines);
  const [fault] = [...document.errors, ...document.warnings];
  if (fault !== undefined) throw unreadable(faultText(fault), lines, fault.pos[0]);
  visit(document, {
    Alias: (_key, { source, range }) => {
      throw unreadable(`*${source} refers to another place; write out what stands there`, lines, range?.[0]);
    },
  });
  return {
    root: new Fields(document.contents, what, lines),
    placeOf: (path) => placeAt(lines, offsetOf(nodeAt(document.contents, path))),
  };
}

/** Words and marks of a file. One of 262,144 bytes, the most that is taken, has fewer when it is written by hand. */
const TOKENS_MAX = 100_000;

function parse(text: string, lines: LineCounter): Document {
  let tokens = 0;
  for (const _token of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > TOKENS_MAX) throw unreadable(`the file has more than ${TOKENS_MAX} words and marks`, lines, undefined);
  }
  // The parser makes an error with a stack for every fault, and may find one at every character; its own excerpts of the text,
  // and its search for keys that stand twice, take time by the square of the size (measured: 50 s for 200 KB).
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return parseDocument(text, { lineCounter: lines, version: "1.2", prettyErrors: false, uniqueKeys: false });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function faultText({ code, message }: YAMLError): string {
  if (code === "MULTIPLE_DOCS") return "another document begins here; give each flow a file of its own";
  if (/call stack/.test(message)) return "is nested too deeply";
  return message.split("\n")[0] ?? "";
}

function nodeAt(root: unknown, path: readonly (string | number)[]): unknown {
  let node = root;
  for (const step of path) {
    const pair = isMap(node) ? node.items.find(({ key }) => isScalar(key) && key.value === step) : undefined;
    const below = pair
      ? (pair.value ?? pair.key)
      : isSeq(node) && typeof step === "number"
        ? node.items[step]
        : undefined;
    if (below === undefined || below === null) return node;
    node = below;
  }
  return node;
}

/** What a node is turned into values within: there are no aliases that it would have to resolve. */
const EMPTY = parseDocument("");

/** The fields of one mapping: each is read once, and what nobody has read is refused. */
export class Fields {
  readonly #what: string;
  readonly #lines: LineCounter;
  readonly #map: YAMLMap;
  readonly #read = new Set<string>();

  constructor(node: unknown, what: string, lines: LineCounter) {
    if (!isMap(node)) throw unreadable(`${what} must be fields with values`, lines, offsetOf(node));
    this.#what = what;
    this.#lines = lines;
    this.#map = node;
    this.#checkOnce(node);
  }

  /** A text. A number, or a word that YAML reads as something else, has to be quoted. */
  text(name: string, otherwise?: string): string {
    const value = this.#value(name);
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (typeof value !== "string") throw this.wrong(name, "a text");
    return value;
  }

  flag(name: string): boolean {
    const value = this.#value(name);
    if (value !== undefined && typeof value !== "boolean") throw this.wrong(name, "true or false");
    return value ?? false;
  }

  textList(name: string): string[] {
    const value = this.#value(name) ?? [];
    if (!Array.isArray(value) || !value.every(isText)) throw this.wrong(name, "a list of texts");
    return value;
  }

  textOrTexts(name: string): string | string[] {
    const value = this.#value(name) ?? [];
    if (typeof value === "string") return value;
    if (!Array.isArray(value) || !value.every(isText)) throw this.wrong(name, "a text or a list of texts");
    return value;
  }

  /** A mapping of texts. */
  texts(name: string): Record<string, string> {
    const value = this.#value(name) ?? {};
    const node = this.#map.get(name, true);
    if (isMap(node)) this.#checkOnce(node);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw this.wrong(name, "texts by language");
    }
    const entries = Object.entries(value);
    if (!entries.every((entry): entry is [string, string] => isText(entry[1]))) {
      throw this.wrong(name, "texts by language");
    }
    return Object.fromEntries(entries);
  }

  word<T>(name: string, words: Readonly<Record<string, T>>, otherwise: T): T {
    const text = this.text(name, "");
    if (text === "") return otherwise;
    const value = Object.hasOwn(words, text) ? words[text] : undefined;
    if (value === undefined) throw this.wrong(name, `one of ${Object.keys(words).join(", ")}`);
    return value;
  }

  words<T>(name: string, words: Readonly<Record<string, T>>): T[] {
    return this.textList(name).map((text) => {
      const value = Object.hasOwn(words, text) ? words[text] : undefined;
      if (value === undefined) throw this.wrong(name, `a list of ${Object.keys(words).join(", ")}`);
      return value;
    });
  }

  /** A list of mappings, of at most `max`; empty when it is absent. */
  list(name: string, what: string, max: number): Fields[] {
    this.#read.add(name);
    const node = this.#map.get(name, true);
    if (node === undefined || (isScalar(node) && node.value === null)) return [];
    const items = "items" in node && Array.isArray(node.items) && !isMap(node) ? node.items : undefined;
    if (items === undefined) throw this.wrong(name, "a list");
    if (items.length > max) throw this.wrong(name, `a list of at most ${max}`);
    return items.map((item) => new Fields(item, what, this.#lines));
  }

  wrong(name: string, must: string): Refusal {
    const node = this.#map.get(name, true);
    return unreadable(`${name} of ${this.#what} must be ${must}`, this.#lines, offsetOf(node) ?? offsetOf(this.#map));
  }

  /** Refuses fields that nobody has read. */
  done(): void {
    for (const { key } of this.#map.items) {
      const name = isScalar(key) ? String(key.value) : "";
      if (this.#read.has(name)) continue;
      const known = [...this.#read].join(", ");
      throw unreadable(`${this.#what} has no field "${name}"; it has ${known}`, this.#lines, offsetOf(key));
    }
  }

  #checkOnce(map: YAMLMap): void {
    const seen = new Set<unknown>();
    for (const { key } of map.items) {
      const name = isScalar(key) ? key.value : key;
      if (seen.has(name)) throw unreadable(`${String(name)} of ${this.#what} stands twice`, this.#lines, offsetOf(key));
      seen.add(name);
    }
  }

  #value(name: string): unknown {
    this.#read.add(name);
    const node = this.#map.get(name, true);
    const value: unknown = node === undefined ? undefined : (node as Node).toJS(EMPTY);
    return value === null ? undefined : value;
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function offsetOf(node: unknown): number | undefined {
  return typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : undefined;
}

function placeAt(lines: LineCounter, offset: number | undefined): YamlPlace {
  const { line, col } = lines.linePos(offset ?? 0);
  return { line: Math.max(line, 1), column: Math.max(col, 1) }; // before anything was read both are 0
}

function unreadable(message: string, lines: LineCounter, offset: number | undefined): Refusal {
  const { line, column } = placeAt(lines, offset);
  return new Refusal(ErrorReason.FLOW_UNREADABLE, `line ${line}, column ${column}: ${message}`, {
    metadata: { line: String(line), column: String(column) },
  });
}
