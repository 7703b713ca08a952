import type { SubjectRef } from "../domain/subject.ts";
import type { Answer, Statement } from "../store/flight.ts";
import { Fields } from "../store/question.ts";
import { type KnownRequest, requestMapKey } from "./batch.ts";
import { subjectMapKey } from "./batch-subjects.ts";
import type { Pending } from "./command-queue.ts";
import type { SubjectRow } from "./journal.ts";
import { questions } from "./questions.ts";
import { toAskedRow } from "./read-rows.ts";
import * as sql from "./sql.ts";

/** Something of a tenant. */
export interface Asked {
  readonly tenant: string;
  readonly ref: SubjectRef;
}

/** What was read under the locks for one portion. */
export interface Loaded {
  readonly asked: readonly Asked[];
  /** By `subjectMapKey`. */
  readonly rows: ReadonlyMap<string, SubjectRow>;
  /** By `requestMapKey`. */
  readonly requests: ReadonlyMap<string, KnownRequest>;
}

/** A part of a batch: its commands are loaded for, decided and written together. */
export class Portion {
  readonly commands: readonly Pending[];
  /** The subjects that its commands name, each once. */
  readonly #asked: readonly Asked[];

  constructor(commands: readonly Pending[]) {
    this.commands = commands;
    this.#asked = subjectsOf(commands);
  }

  /** Read under the locks of the commands' tenants. */
  statements(): Statement[] {
    const [askers, keys]: [string[], Uint8Array[]] = [[], []];
    for (const { command } of this.commands) {
      if (!command.request) continue;
      askers.push(command.tenant);
      keys.push(command.request.key);
    }
    const known = keys.length > 0 ? [sql.loadRequests([askers, keys])] : [];
    return [questions.subjects(this.#asked), ...known];
  }

  /** @param answers those to `statements` */
  read([subjects, requests]: readonly Answer[]): Loaded {
    return { asked: this.#asked, rows: rowsOf(subjects, this.#asked), requests: requestsOf(requests) };
  }
}

/** How large portions are of which all have about the same size. @param most commands of a portion */
export function portionSize(commands: number, most: number): number {
  return Math.ceil(commands / Math.ceil(commands / most));
}

/** Cuts commands into portions. */
export function portionsOf(commands: readonly Pending[], size: number): Portion[] {
  const count = Math.ceil(commands.length / size);
  return Array.from({ length: count }, (_, i) => new Portion(commands.slice(i * size, (i + 1) * size)));
}

function subjectsOf(commands: readonly Pending[]): Asked[] {
  const asked = new Map<string, Asked>();
  for (const { command } of commands) {
    for (const ref of command.subjects) asked.set(subjectMapKey(command.tenant, ref), { tenant: command.tenant, ref });
  }
  return [...asked.values()];
}

/** The rows of `questions.subjects(asked)`, by `subjectMapKey`. */
export function rowsOf(answer: Answer | undefined, asked: readonly Asked[]): Map<string, SubjectRow> {
  const refs = asked.map((one) => one.ref);
  const rows = (answer?.rows ?? []).map((row) => toAskedRow(new Fields(row), refs));
  return new Map(rows.map(([place, row]) => [subjectMapKey(asked[place]?.tenant ?? "", row), row]));
}

function requestsOf(answer: Answer | undefined): Map<string, KnownRequest> {
  const known = new Map<string, KnownRequest>();
  for (const row of answer?.rows ?? []) {
    const fields = new Fields(row);
    const key = requestMapKey(fields.text(), fields.bytes());
    known.set(key, { hash: fields.bytes(), answer: fields.bytes() });
  }
  return known;
}
