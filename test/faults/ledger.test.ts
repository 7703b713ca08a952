import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Ledger, type Outcome, type Timeline } from "./ledger.ts";

/** A journal of orders that were created, each by a command of its own unless said otherwise. */
function journal(orders: readonly (string | readonly [order: string, command: string])[], lostAtMs?: number): Timeline {
  const events = orders.map((one, i) => {
    const [subjectId, id] = typeof one === "string" ? [one, `command-${i}`] : one;
    return create(EventSchema, { subjectId, command: { id }, change: { case: "orderCreated", value: {} } });
  });
  return { journals: new Map([["acme", events]]), lostAtMs };
}

function ledgerWith(outcome: Outcome, atMs = 100) {
  const ledger = new Ledger();
  const entry = ledger.open("acme", "CreateOrder", "PO");
  ledger.settle(entry, outcome);
  entry.atMs = atMs;
  return { ledger, token: entry.token };
}

test("a command that was answered is in the journal once", () => {
  const { ledger, token } = ledgerWith("acked");
  expect(ledger.faults([journal([token])])).toEqual({ faults: [], lostByFailover: 0 });
  expect(ledger.faults([journal([])]).faults).toEqual([expect.stringContaining("is not in the journal")]);
  expect(ledger.faults([journal([token, token])]).faults).toEqual([expect.stringContaining("took effect 2 times")]);
  const parts = [token, "command"] as const;
  expect(ledger.faults([journal([parts, parts])]).faults).toEqual([]);
});

test.each(["unknown", "refused"] as const)("a command that is %s is there once at most", (outcome) => {
  const { ledger, token } = ledgerWith(outcome);
  expect(ledger.faults([journal([])]).faults).toEqual([]);
  expect(ledger.faults([journal([token])]).faults).toEqual([]);
  expect(ledger.faults([journal([token, token])]).faults).toHaveLength(1);
});

test("a failover loses what was answered before it and was in what it replaced, and nothing else", () => {
  const { ledger, token } = ledgerWith("acked", 100);
  expect(ledger.faults([journal([token], 200), journal([])])).toEqual({ faults: [], lostByFailover: 1 });
  expect(ledger.faults([journal([], 200), journal([])]).faults).toHaveLength(1);
  expect(ledger.faults([journal([token], 50), journal([])]).faults).toHaveLength(1);
  expect(ledger.faults([journal([token], 200), journal([token])])).toEqual({ faults: [], lostByFailover: 0 });
});

test("of a batch that was answered after a failover, items that were committed before it may be lost with it", () => {
  const ledger = new Ledger();
  const entry = ledger.open("acme", "BatchReportStatus", "PO");
  ledger.settle(entry, "acked");
  const [before, after] = [entry.askedAtMs - 1, entry.askedAtMs + 1];
  entry.atMs = after + 1_000;
  expect(ledger.faults([journal([entry.token], after), journal([])])).toEqual({ faults: [], lostByFailover: 1 });
  expect(ledger.faults([journal([entry.token], before), journal([])]).faults).toHaveLength(1);
  expect(ledger.faults([journal([], after), journal([])]).faults).toHaveLength(1);
});

test("another tenant's journal does not count", () => {
  const { ledger, token } = ledgerWith("acked");
  const { journals } = journal([token]);
  const elsewhere = new Map([["globex", journals.get("acme") ?? []]]);
  expect(ledger.faults([{ journals: elsewhere, lostAtMs: undefined }]).faults).toHaveLength(1);
});
