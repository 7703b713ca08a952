import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type { History } from "./history.ts";
import type { Place } from "./trace.ts";

/**
 * One thing that a writer did or was told, in the order of time: `key` names a write, and is found again in its events.
 * `failed` and certain: it has had, and will have, no effect.
 */
export type WriteStep = { readonly atMs: number; readonly key: string } & (
  | { readonly what: "asked" }
  | { readonly what: "answered"; readonly at: Place }
  | { readonly what: "failed"; readonly certain: boolean }
);

/**
 * What is wrong with the writes of one tenant and with its journal, a line each: every answered write is in the journal, at
 * the place that was answered, unless a failover lost it later; no write has two effects; one that was answered before
 * another was asked for stands before it; revisions and versions are dense, times never decrease, and the events of one
 * command are side by side, in order and complete. One pass over the steps, one over the journal.
 *
 * @param keyOf the write that an event is of; undefined: nobody's who is traced
 */
export function writeFaults(
  steps: Iterable<WriteStep>,
  history: History,
  keyOf: (event: Event) => string | undefined,
): string[] {
  const faults: string[] = [];
  const open = new Map<string, number>();
  const failed = new Set<string>();
  let answered = 0;
  for (const step of steps) {
    if (step.what === "asked") open.set(step.key, answered);
    else if (step.what === "failed") {
      if (step.certain) failed.add(step.key);
      open.delete(step.key);
    } else {
      const line = history.lineWith(step.at);
      if (!line) faults.push(`${step.key} was answered at ${step.at.revision}, which is not in the journal`);
      else if (line.untilMs < step.atMs)
        faults.push(`${step.key} was answered at ${step.at.revision} of a lost history`);
      else if (line === history.now || line.has(history.now.head)) {
        const before = open.get(step.key) ?? 0;
        if (step.at.revision <= before)
          faults.push(`${step.key} at ${step.at.revision} stands before ${before}, answered before`);
        answered = Math.max(answered, step.at.revision);
      }
      const fact = line?.fact(step.at);
      const key = fact && keyOf(fact.event);
      if (key !== undefined && key !== step.key) faults.push(`${step.key} was answered with the place of ${key}`);
      open.delete(step.key);
    }
  }
  return [...faults, ...effectFaults(history, keyOf, failed), ...journalFaultsOf(history)];
}

function effectFaults(
  { now }: History,
  keyOf: (event: Event) => string | undefined,
  failed: ReadonlySet<string>,
): string[] {
  const faults: string[] = [];
  const commands = new Map<string, string | undefined>();
  for (const { event, revision } of now.facts) {
    const key = keyOf(event);
    if (key === undefined) continue;
    if (failed.has(key)) faults.push(`${key} was refused and stands at ${revision}`);
    const command = event.command?.id ?? event.position;
    if (commands.has(key) && commands.get(key) !== command) faults.push(`${key} has a second effect at ${revision}`);
    commands.set(key, command);
  }
  return faults;
}

/** What is wrong with a journal by itself. */
export function journalFaultsOf({ now }: History): string[] {
  const faults: string[] = [];
  const versions = new Map<string, bigint>();
  let atMs = 0;
  let open: Event["command"];
  for (const [i, { event, revision, subject, atMs: recordedMs }] of now.facts.entries()) {
    if (revision !== i + 1) faults.push(`revision ${revision} stands at ${i + 1}`);
    const version = (versions.get(subject) ?? 0n) + 1n;
    if (event.version !== version) faults.push(`version ${event.version} of ${subject} stands for ${version}`);
    versions.set(subject, event.version);
    if (recordedMs < atMs) faults.push(`the time goes back at ${revision}`);
    atMs = Math.max(atMs, Number.isNaN(recordedMs) ? 0 : recordedMs);
    const { command } = event;
    const isNext = command && open && command.id === open.id ? command.index === open.index + 1 : command?.index === 0;
    const isComplete = !open || open.index + 1 === open.count || command?.id === open.id;
    if (command && !isNext) faults.push(`part ${command.index} of a command stands at ${revision}, out of place`);
    if (!isComplete) faults.push(`a command breaks off before ${revision}`);
    open = command;
  }
  if (open && open.index + 1 !== open.count) faults.push("a command breaks off at the end");
  return faults;
}
