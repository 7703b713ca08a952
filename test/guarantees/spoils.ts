import { expect } from "vitest";
import { Faithful } from "./faithful.ts";
import { booked, history, orders, START_MS } from "./faultless.ts";
import type { History } from "./history.ts";
import { isTold, type Reader, type Step, type Told } from "./trace.ts";

/* How the steps of a faultless trace are found, and spoilt. */

/** The index of a told change, counted among those told. */
export function nth(steps: readonly Step[], n: number, fits: (step: Told) => boolean = () => true): number {
  const found = steps.flatMap((step, i) => (isTold(step) && fits(step) ? [i] : []))[n];
  return found ?? expect.fail("there is no such change");
}

export function find(steps: readonly Step[], what: Step["what"], n = 0): number {
  return steps.flatMap((step, i) => (step.what === what ? [i] : []))[n] ?? expect.fail(`there is no ${what}`);
}

export function put<S extends Step>(steps: Step[], at: number, fields: Partial<S>): void {
  steps[at] = { ...(steps[at] as S), ...fields };
}

/** Where the second part of a command stands right after the first. */
export function secondPart(steps: readonly Step[]): number {
  const command = (step: Step | undefined) =>
    step && isTold(step) ? history.lineWith(step.at)?.fact(step.at)?.event.command?.id : undefined;
  return nth(
    steps,
    0,
    (step) => command(step) !== undefined && command(step) === command(steps[steps.indexOf(step) - 2]),
  );
}

export const eventOf = (from: History, subject: RegExp, reader: Reader): Step => {
  const fact = from.now.facts.find((one) => subject.test(one.subject)) ?? expect.fail("there is no such event");
  const content = from.contentFor(fact, reader.visibility);
  const at = { revision: fact.revision, eventId: fact.eventId };
  return {
    what: "event",
    at,
    id: fact.event.subjectId,
    version: Number(fact.event.version),
    content,
    shows: [],
    atMs: START_MS,
  };
};

/** A snapshot at the end lacks a row. */
export function dropRow(steps: Step[]): void {
  const rows = freshSnapshot(steps.at(-1)?.atMs ?? 0);
  rows.splice(find(rows, "row", 1), 1);
  steps.splice(steps.length - 1, 0, ...rows);
}

export function swap(steps: Step[], a: number, b: number): void {
  [steps[a], steps[b]] = [steps[b] as Step, steps[a] as Step];
}

export function moveBookmark(steps: Step[], before: number): void {
  const [bookmark] = steps.splice(find(steps, "bookmark"), 1);
  if (bookmark) steps.splice(nth(steps, before), 0, bookmark);
}

export function entersAt(revision: number): boolean {
  return (
    history.lines[0]?.dueAt(booked, revision)?.turns === true &&
    history.lines[0].dueAt(booked, revision)?.what === "event"
  );
}

export function splitBySnapshot(steps: Step[]): void {
  const line = history.lines[0];
  const split =
    line?.facts.find(({ event }) => event.command?.index === 0 && event.command.count > 1) ?? expect.fail("no command");
  const play = new Faithful(orders, history, line ?? history.now, START_MS).snapshot(split.revision).tell(22);
  steps.splice(0, find(steps, "bookmark"), ...play.steps);
}

export function tellNonMatching(steps: Step[]): void {
  const at = nth(steps, 0, ({ at }) => at.revision > 90);
  const told = steps[at] as Told;
  const last = steps.filter(isTold).at(-1) as Told;
  const fact = history.now.facts.find(
    ({ event, revision }) =>
      event.after.case === "order" &&
      revision > told.at.revision &&
      revision < last.at.revision &&
      history.now.dueAt(booked, revision) === undefined,
  );
  if (!fact) expect.fail("all match");
  const content = history.contentFor(fact, booked.visibility);
  const place = { revision: fact.revision, eventId: fact.eventId };
  const event: Step = {
    what: "event",
    at: place,
    id: fact.event.subjectId,
    version: Number(fact.event.version),
    content,
    shows: [],
    atMs: told.atMs,
  };
  steps.splice(
    steps.findIndex((step) => isTold(step) && step.at.revision > fact.revision && step.atMs >= told.atMs),
    0,
    event,
  );
}

export function delay(steps: Step[]): void {
  const last = nth(steps, 0, ({ at }) => at.revision >= 99);
  for (let i = last; i < steps.length; i += 1) {
    const step = steps[i] as Step;
    steps[i] = { ...step, atMs: step.atMs + 10_001 } as Step;
    if (step.what === "bookmark") steps[i] = { ...step, atMs: step.atMs + 10_001, verifiedAtMs: step.atMs + 10_001 };
  }
}

export function skipReset(steps: Step[]): void {
  const from = find(steps, "reset");
  steps.splice(from, find(steps, "healed") - from);
}

export function needlessReset(steps: Step[]): void {
  const at = find(steps, "healed");
  const reset: Step = {
    what: "reset",
    reason: "HISTORY_DIVERGED",
    head: undefined,
    atMs: (steps[at]?.atMs ?? 0) + 100_000,
  };
  const { from } = { from: "snapshot" } as const;
  steps.splice(steps.length - 1, 0, { what: "open", from, atMs: reset.atMs }, reset, ...freshSnapshot(reset.atMs));
}

function freshSnapshot(atMs: number): Step[] {
  return new Faithful(orders, history, history.now, atMs).snapshot(history.now.head.revision).steps;
}
