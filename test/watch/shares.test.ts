import { describe, expect, test } from "vitest";
import type { Claims } from "../../src/domain/deficit-round-robin.ts";
import { headPosition, Instance, order, orders, type Watch } from "./instance.ts";
import { MemoryJournal } from "./memory-journal.ts";

/*
 * One read at a time, and of each tenant more who want one than it gets: what is served is shared by what the tenants claim.
 * Reads answer when the test says so, one after the other, so that who has been served is waiting again before the next turn.
 */

const weights: Readonly<Record<string, number>> = { light: 1, middle: 2, heavy: 4 };
const claims: Claims = {
  weightOf: (tenant) => weights[tenant] ?? 1,
  hasReserve: (tenant) => tenant === "heavy",
};
/** Rows or events of a page, and what a weight of 1 gets of a round. */
const PAGE = 20;
/** Those of each tenant that want to read: each continues from a place of its own, so that none shares another's page. */
const READERS = PAGE - 1;
const options = { catchUpReads: 1, pageEvents: PAGE, snapshotRows: PAGE, ringEvents: 16 };

type Reading = (instance: Instance, tenant: string, place: string) => () => number;

const rows = (watch: Watch) => () => watch.story.filter((what) => what.startsWith("=")).length;
const events = (watch: Watch) => () => watch.story.filter((what) => what.includes("@")).length;

/** A caller of the change feed who asks for one page after the other. */
const poll: Reading = ({ hubs }, tenant) => {
  let read = 0;
  const turn = { tenant, items: PAGE, wanted: () => true };
  const again = async (): Promise<void> => {
    const page = await hubs.read(
      turn,
      (journal) => journal.events(tenant, 1n, PAGE, 1e9),
      (found) => found.length,
    );
    read += page?.length ?? 0;
    return again();
  };
  void again();
  return () => read;
};

/** How much each tenant is served until all of them are served so much together. */
async function served(tenants: readonly string[], reading: Reading, upTo: number): Promise<number[]> {
  const journal = new MemoryJournal();
  const instance = new Instance({ journal, options, claims });
  const places = new Map<string, string[]>();
  for (const tenant of tenants) {
    const positions: string[] = [];
    for (let i = 1; i <= 400; i += 1) {
      journal.commit(tenant, order(`o${i}`));
      if (i <= READERS) positions.push(headPosition(journal, tenant));
    }
    places.set(tenant, positions);
  }
  let answer = journal.hold();
  // The light ones come first, and would be served alike.
  const readers = tenants.map((tenant) => (places.get(tenant) ?? []).map((place) => reading(instance, tenant, place)));
  const counts = () => readers.map((ofTenant) => ofTenant.reduce((sum, count) => sum + count(), 0));
  await instance.clock.settle();
  for (let steps = 0; counts().reduce((a, b) => a + b) < upTo; steps += 1) {
    if (steps > 10 * upTo) throw new Error("nothing is served any more");
    const next = journal.hold();
    answer();
    answer = next;
    await instance.clock.settle();
  }
  return counts();
}

describe.each<[string, Reading]>([
  ["snapshots", (instance, tenant) => rows(instance.open({ tenant, start: { from: "snapshot" } }))],
  [
    "watches that are behind",
    (instance, tenant, position) =>
      events(
        instance.open({ tenant, start: { from: "position", position }, filter: orders({ statuses: ["RECEIVED"] }) }),
      ),
  ],
  ["callers of the change feed", poll],
])("%s", (_what, reading) => {
  test.each([
    ["tenants", ["light", "middle", "heavy"]],
    ["audit journals", ["light.audit", "middle.audit", "heavy.audit"]],
  ])("of %s are served by their tenants' weights, to a tenth", async (_of, tenants) => {
    const upTo = 7 * 30 * PAGE;
    const counts = await served(tenants, reading, upTo);
    for (const [i, weight] of [1, 2, 4].entries()) {
      const due = (upTo * weight) / 7;
      expect(Math.abs((counts[i] ?? 0) - due), `weight ${weight}: ${counts[i]} of ${due}`).toBeLessThanOrEqual(
        due / 10,
      );
    }
  });
});
