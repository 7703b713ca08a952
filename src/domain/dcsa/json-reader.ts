import type { Violation } from "../refusal.ts";
import { describe, type NumberRule, numberFrom, short, type TextRule, textFrom } from "./json-rules.ts";

/*
 * Reading foreign JSON: fields are asked for by name, each with its rule. What breaks a rule becomes a violation and reads as
 * absent, so one reading finds everything that is wrong; what nobody asked for becomes a note.
 */

/** Something that was read and is not kept. */
export interface Note {
  readonly severity: "INFO";
  /** JSONPath of it, as DCSA feedback writes it: `$.vessel.name`. */
  readonly path: string;
  readonly message: string;
}

/** A name, or several under which versions of a standard know the same field: the first that is present is read. */
export type Names = string | readonly string[];

/** One JSON object that is being read. An absent one reads as an object without fields. */
export interface JsonObject {
  readonly path: string;
  readonly present: boolean;
  /** A text, trimmed; empty: absent. Numbers are taken as texts, for senders that leave the quotes out, as `textFrom` says. */
  text(names: Names, rule?: TextRule): string;
  /** Texts of a list; absent: none. */
  texts(names: Names, rule?: TextRule): string[];
  /** A number, or a text that is one; undefined: absent. */
  number(names: Names, rule?: NumberRule): number | undefined;
  /** A boolean; absent: false. */
  flag(names: Names): boolean;
  object(names: Names): JsonObject;
  objects(names: Names): JsonObject[];
  has(names: Names): boolean;
  /** The field stays unread without a note of its own; the caller has said something about it. */
  passOver(names: Names): void;
  violation(name: string, description: string): void;
  note(name: string, message: string): void;
}

/** One reading: the object, and what was found on the way. */
export interface JsonReading {
  readonly root: JsonObject;
  readonly violations: readonly Violation[];
  /** What was noted, and a note for every field that nobody asked for. */
  notes(): Note[];
}

/** Elements of a list that are read; more are a violation. */
const LIST_MAX = 1_000;
/** Violations that are told of one reading. */
const VIOLATIONS_MAX = 100;
/** Notes that are kept of one reading. */
const NOTES_MAX = 200;

type Fields = Readonly<Record<string, unknown>>;

interface Opened {
  readonly path: string;
  readonly fields: Fields;
  readonly asked: Set<string>;
}

/** Starts reading a parsed JSON value. A value that is no object gives one violation at `$`. */
export function readJson(value: unknown): JsonReading {
  const violations: Violation[] = [];
  const noted: Note[] = [];
  const opened: Opened[] = [];
  const byPath = new Map<string, JsonObject>();

  // Two readers may share an object and find the same fault in it.
  const violate = (field: string, description: string) => {
    if (violations.some((one) => one.field === field && one.description === description)) return;
    if (violations.length < VIOLATIONS_MAX) violations.push({ field, description });
  };

  /** The same object for the same path, so that readers may share one. */
  function open(path: string, found: unknown): JsonObject {
    const before = byPath.get(path);
    if (before) return before;
    const object = openNew(path, found);
    byPath.set(path, object);
    return object;
  }

  function openNew(path: string, found: unknown): JsonObject {
    if (found === undefined || found === null) return objectAt(path, {}, false);
    if (!isFields(found)) {
      violate(path, `is ${describe(found)} where an object belongs`);
      return objectAt(path, {}, false);
    }
    return objectAt(path, found, true);
  }

  function objectAt(path: string, fields: Fields, present: boolean): JsonObject {
    const asked = new Set<string>();
    if (present) opened.push({ path, fields, asked });

    /** The first name that is present, with its value. */
    const find = (names: Names): { at: string; value: unknown } => {
      const all = typeof names === "string" ? [names] : names;
      const name = all.find((one) => fieldOf(fields, one) !== undefined);
      if (name === undefined) return { at: child(path, all[0] ?? ""), value: undefined };
      asked.add(name);
      return { at: child(path, name), value: fieldOf(fields, name) };
    };
    const list = (names: Names): { at: string; values: readonly unknown[] } => {
      const { at, value: found } = find(names);
      if (found === undefined) return { at, values: [] };
      if (!Array.isArray(found)) {
        violate(at, `is ${describe(found)} where a list belongs`);
        return { at, values: [] };
      }
      if (found.length <= LIST_MAX) return { at, values: found };
      violate(at, `has ${found.length} elements; at most ${LIST_MAX} are taken`);
      return { at, values: [] };
    };
    return {
      path,
      present,
      text(names, rule = {}) {
        const { at, value: found } = find(names);
        return textFrom(found, rule, (description) => violate(at, description));
      },
      texts(names, rule = {}) {
        const { at, values } = list(names);
        return values
          .map((one, i) =>
            textFrom(one, { ...rule, needed: true }, (description) => violate(`${at}[${i}]`, description)),
          )
          .filter((text) => text !== "");
      },
      number(names, rule = {}) {
        const { at, value: found } = find(names);
        return numberFrom(found, rule, (description) => violate(at, description));
      },
      flag(names) {
        const { at, value: found } = find(names);
        if (found !== undefined && typeof found !== "boolean") {
          violate(at, `is ${describe(found)} where true or false belongs`);
        }
        return found === true;
      },
      object(names) {
        const { at, value: found } = find(names);
        return open(at, found);
      },
      objects(names) {
        const { at, values } = list(names);
        return values.map((one, i) => open(`${at}[${i}]`, one ?? "null"));
      },
      has: (names) => find(names).value !== undefined,
      passOver: (names) => void find(names),
      violation: (name, description) => violate(child(path, name), description),
      note: (name, message) => void noted.push({ severity: "INFO", path: child(path, name), message }),
    };
  }

  const root = open("$", value ?? "null");
  return { root, violations, notes: () => [...noted, ...unread(opened)].slice(0, NOTES_MAX) };
}

function unread(opened: readonly Opened[]): Note[] {
  return opened.flatMap(({ path, fields, asked }) =>
    Object.keys(fields)
      .filter((name) => !asked.has(name) && fieldOf(fields, name) !== undefined)
      .map((name): Note => ({ severity: "INFO", path: child(path, name), message: "is not kept" })),
  );
}

/** Null is how many senders write absent. */
function fieldOf(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function child(path: string, name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(short(name))}]`;
}
