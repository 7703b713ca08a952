import type { SubjectRef } from "../domain/subject.ts";
import type { Answer, Statement } from "../store/flight.ts";
import { Fields } from "../store/question.ts";
import { type KnownRequest, type LockedHead, requestMapKey } from "./batch.ts";
import { subjectMapKey } from "./batch-subjects.ts";
import type { Pending } from "./command-queue.ts";
import type { SubjectRow } from "./journal.ts";
import { questions } from "./questions.ts";
import { toAskedRow } from "./read-rows.ts";
import * as sql from "./sql.ts";

/** What was read under the locks. */
export interface Opened {
  /** Heads by tenant; those that others hold are missing. */
  readonly locked: ReadonlyMap<string, LockedHead>;
  /** The database's clock, microseconds since the epoch. */
  readonly nowUs: bigint;
  /** By `subjectMapKey`. */
  readonly rows: ReadonlyMap<string, SubjectRow>;
  /** By `requestMapKey`. */
  readonly requests: Map<string, KnownRequest>;
}

/** The first flight of a batch: its statements, and how their answers are read. */
export class OpeningFlight {
  /** The subjects that its commands name, each once. */
  readonly asked: readonly { readonly tenant: string; readonly ref: SubjectRef }[];
  readonly statements: readonly Statement[];

  /** @param wait for the heads that others hold; otherwise they are left out */
  constructor(commands: readonly Pending[], wait: boolean) {
    const tenants = [...new Set(commands.map((p) => p.command.tenant))].sort();
    const [askers, keys]: [string[], Uint8Array[]] = [[], []];
    for (const { command } of commands) {
      if (!command.request) continue;
      askers.push(command.tenant);
      keys.push(command.request.key);
    }
    this.asked = subjectsOf(commands);
    this.statements = [
      sql.BEGIN,
      wait ? sql.scopeToAndWait(tenants) : sql.scopeTo(tenants),
      sql.lockHeads(tenants, wait),
      sql.CLOCK,
      questions.subjects(this.asked),
      ...(keys.length > 0 ? [sql.loadRequests([askers, keys])] : []),
    ];
  }

  read([, , heads, clock, subjects, requests]: readonly Answer[]): Opened {
    return {
      locked: headsOf(heads),
      nowUs: BigInt(clock?.rows[0]?.[0] ?? 0),
      rows: rowsOf(subjects, this.asked),
      requests: requestsOf(requests),
    };
  }
}

function subjectsOf(commands: readonly Pending[]): { tenant: string; ref: SubjectRef }[] {
  const asked = new Map<string, { tenant: string; ref: SubjectRef }>();
  for (const { command } of commands) {
    for (const ref of command.subjects) asked.set(subjectMapKey(command.tenant, ref), { tenant: command.tenant, ref });
  }
  return [...asked.values()];
}

function headsOf(answer: Answer | undefined): Map<string, LockedHead> {
  const heads = new Map<string, LockedHead>();
  for (const row of answer?.rows ?? []) {
    const fields = new Fields(row);
    const tenant = fields.text();
    heads.set(tenant, { revision: fields.bigint(), eventId: fields.text(), recordedUs: fields.bigint() });
  }
  return heads;
}

/** The rows of `questions.subjects(asked)`, by `subjectMapKey`. */
export function rowsOf(
  answer: Answer | undefined,
  asked: readonly { readonly tenant: string; readonly ref: SubjectRef }[],
): Map<string, SubjectRow> {
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
