import { journalFaults } from "../guarantees/journal.ts";
import type { Trace } from "../guarantees/trace.ts";
import { foreignTo, historyOf, type Truth } from "../guarantees/truth.ts";
import { validate } from "../guarantees/validators.ts";
import { writeFaults } from "../guarantees/writes.ts";
import { tokenOf } from "./ledger.ts";
import { LIVE_MS, type Run, type Violation } from "./run.ts";
import type { Watcher } from "./watcher.ts";
import { writeStepsOf } from "./written.ts";

/** How old the comparison that a bookmark names may be: as long as an instance may be without one, and was stopped. */
const STALE_MS = 65_000;
/** How long after a failover an instance may still speak of what was before. */
const NOTICING_MS = 15_000;

/** What a check found. */
export interface Verdict {
  readonly histories: number;
  /** Events in the journals, and events that watchers were told. */
  readonly events: number;
  readonly told: number;
  readonly lostByFailover: number;
  readonly violations: readonly Violation[];
}

/** Ends the load, lets everybody come to the end of the journals, and holds what they were told against them. */
export async function check(run: Run): Promise<Verdict> {
  await run.stopWriting();
  const truth = await run.chronicle.read(run.cluster.database);
  const now = Date.now();
  for (const { steps } of run.watchers) steps.push({ what: "healed", atMs: now });
  const withheld = run.withheld.ms;
  await arrival(run, truth);
  const liveMs = LIVE_MS + run.withheld.ms - withheld;
  for (const watcher of run.watchers) watcher.finish(headOf(truth, watcher));
  for (const member of run.cluster.members) await member.expectSound();
  const violations = [...run.violations];
  for (const watcher of run.everybody) {
    for (const fault of faultsOf(watcher, truth, liveMs)) {
      const [validator = "", ...what] = fault.split(": ");
      violations.push({ validator, watcher: watcher.plan.name, what: what.join(": ") });
    }
  }
  for (const { id } of run.tenants) {
    const history = historyOf(truth, id);
    const faults = writeFaults(writeStepsOf(run.ledger.entries, history), history, tokenOf);
    for (const what of faults) violations.push({ validator: "journal", watcher: id, what });
  }
  for (const what of await run.chronicle.withPruned(run.cluster.database, journalFaults)) {
    violations.push({ validator: "rows", watcher: "the database", what });
  }
  const { faults, lostByFailover } = run.ledger.faults([...run.chronicle.lost, { ...truth, lostAtMs: undefined }]);
  for (const what of faults) violations.push({ validator: "writes", watcher: "the writers", what });
  return {
    histories: run.everybody.length + run.tenants.length * (run.chronicle.lost.length + 1),
    events: eventsIn(run, truth),
    told: run.everybody.reduce((sum, { counts }) => sum + counts.events, 0),
    lostByFailover,
    violations,
  };
}

/** Waits until everybody has come to the head, or the time is over (see `Withheld`). Who has not is found by what it was told. */
async function arrival(run: Run, truth: Truth): Promise<void> {
  const isThere = (watcher: Watcher) => {
    const { position, plan } = watcher;
    return position !== undefined && run.placeOf(plan.reader, position).revision >= headOf(truth, watcher);
  };
  if (await run.comesToBe(LIVE_MS, () => run.watchers.every(isThere))) return;
  for (const watcher of run.watchers) {
    if (!isThere(watcher))
      run.wrong("live", watcher.plan.name, `is not at the head ${LIVE_MS} ms after everything was mended`);
  }
}

function headOf(truth: Truth, { plan }: Watcher): number {
  return Number(truth.journals.get(plan.reader.tenant)?.at(-1)?.revision ?? 0n);
}

function faultsOf({ plan, steps }: Watcher, truth: Truth, liveMs: number): readonly string[] {
  const { reader, mode } = plan;
  const trace: Trace = { reader, mode, steps };
  const expected = { ...foreignTo(reader, truth), staleMs: STALE_MS, noticeMs: NOTICING_MS, liveMs };
  return validate(trace, historyOf(truth, reader.tenant), expected).faults;
}

/** Different events of all histories: what failovers have lost counts too, what both have counts once. */
function eventsIn(run: Run, { journals }: Truth): number {
  const all = new Set<string>();
  for (const one of [...run.chronicle.lost, { journals }]) {
    for (const [tenant, events] of one.journals) for (const { position } of events) all.add(`${tenant} ${position}`);
  }
  return all.size;
}
