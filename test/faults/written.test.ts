import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Positions } from "../../src/wire/position.ts";
import { factsOf, History, Line } from "../guarantees/history.ts";
import { writeFaults } from "../guarantees/writes.ts";
import { type Entry, type Known, Ledger, type Outcome, tokenOf } from "./ledger.ts";
import { writeStepsOf } from "./written.ts";

const NOW_MS = 1_000;

/** A journal of orders that were created, one event each, all at a time. */
function line(orders: readonly string[], untilMs = Number.POSITIVE_INFINITY, atMs = 0): Line {
  const events = orders.map((subjectId, i) => {
    const recordedAt = { seconds: BigInt(atMs / 1_000), nanos: 0 };
    const change = { case: "orderCreated", value: {} } as const;
    return create(EventSchema, { subjectId, version: 1n, position: `${i + 1}-${subjectId}`, change, recordedAt });
  });
  return new Line("journal", factsOf(events), 0, untilMs);
}

const place = (revision: number, entry: Entry): Known => ({ position: `${revision}-${entry.token}` });

function opened(ledger: Ledger, what = "CreateOrder"): Entry {
  const entry = ledger.open("acme", what, "PO");
  entry.atMs = NOW_MS;
  return entry;
}

function settle(ledger: Ledger, entry: Entry, outcome: Outcome, known?: Known): void {
  ledger.settle(entry, outcome, known);
  entry.atMs = NOW_MS;
}

function faultsOf(ledger: Ledger, ...lines: readonly Line[]): string[] {
  const history = new History("acme", lines, new Positions(Buffer.alloc(32)));
  return writeFaults(writeStepsOf(ledger.entries, history), history, tokenOf);
}

test("commands that stand where they were answered to, in the order in which they were asked, are as they should be", () => {
  const ledger = new Ledger();
  const one = opened(ledger);
  settle(ledger, one, "acked", place(1, one));
  const [two, three] = [opened(ledger), opened(ledger)];
  settle(ledger, two, "acked");
  settle(ledger, three, "refused", { isCertain: true });
  expect(faultsOf(ledger, line([one.token, two.token]))).toEqual([]);
});

test("one that was answered with another's place, or with one that there is not, is seen", () => {
  const ledger = new Ledger();
  const [one, two] = [opened(ledger), opened(ledger)];
  settle(ledger, one, "acked", place(2, two));
  expect(faultsOf(ledger, line([one.token, two.token]))).toEqual([
    expect.stringMatching(/with the place of PO-0000002$/),
  ]);
  settle(ledger, one, "acked", { position: "1-other" });
  expect(faultsOf(ledger, line([one.token, two.token]))).toEqual([
    expect.stringMatching(/which is not in the journal$/),
  ]);
});

test("one that was answered before another was asked and stands behind it is seen, whether its answer names its place or not", () => {
  for (const named of [true, false]) {
    const ledger = new Ledger();
    const one = opened(ledger);
    settle(ledger, one, "acked", named ? place(2, one) : {});
    const two = opened(ledger);
    settle(ledger, two, "acked", named ? place(1, two) : {});
    expect(faultsOf(ledger, line([two.token, one.token]))).toEqual([
      expect.stringMatching(/stands before 2, answered/),
    ]);
  }
});

test("two that were under way together may stand in either order", () => {
  const ledger = new Ledger();
  const [one, two] = [opened(ledger), opened(ledger)];
  settle(ledger, one, "acked", place(2, one));
  settle(ledger, two, "acked", place(1, two));
  expect(faultsOf(ledger, line([two.token, one.token]))).toEqual([]);
});

test("a refused command has no effect; after an attempt that was not answered it may have one", () => {
  for (const isCertain of [true, false]) {
    const ledger = new Ledger();
    const one = opened(ledger);
    settle(ledger, one, "refused", { isCertain });
    const due = isCertain ? [expect.stringMatching(/was refused and stands at 1$/)] : [];
    expect(faultsOf(ledger, line([one.token]))).toEqual(due);
  }
});

test("what a failover has lost may have been answered before it, and not after; of a batch it is enough that it was sent before", () => {
  for (const [what, lostAtMs, isFault] of [
    ["ReportStatus", NOW_MS + 1, false],
    ["ReportStatus", NOW_MS - 1, true],
    ["BatchReportStatus", NOW_MS - 1, false],
  ] as const) {
    const ledger = new Ledger();
    const entry = { ...opened(ledger, what), askedAtMs: NOW_MS - 2 };
    ledger.entries[0] = entry;
    settle(ledger, entry, "acked", place(1, entry));
    const due = isFault ? [expect.stringMatching(/of a lost history$/)] : [];
    expect(faultsOf(ledger, line([entry.token], lostAtMs), line([]))).toEqual(due);
  }
});

test("an effect that came only after its answer is of an attempt that was not answered, and says nothing of the order", () => {
  const ledger = new Ledger();
  const [one, two] = [opened(ledger), opened(ledger)];
  settle(ledger, one, "acked");
  settle(ledger, two, "acked");
  opened(ledger);
  const three = opened(ledger);
  settle(ledger, three, "acked", place(1, three));
  expect(faultsOf(ledger, line([three.token, one.token], undefined, 2 * NOW_MS))).toEqual([]);
  expect(faultsOf(ledger, line([three.token, one.token]))).toHaveLength(1);
});

test("another tenant's commands are not looked at", () => {
  const ledger = new Ledger();
  const entry = ledger.open("globex", "ReportStatus", "rep");
  ledger.settle(entry, "acked", { position: "9-nowhere" });
  expect(faultsOf(ledger, line([]))).toEqual([]);
});
