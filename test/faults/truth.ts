import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import type { Floor } from "../guarantees/history.ts";
import { type LostJournal, readTruth, type Truth } from "../guarantees/truth.ts";
import type { Database } from "./database.ts";
import type { Timeline } from "./ledger.ts";

/** What the database has said over the run, across prunes and failovers. */
export class Chronicle {
  /** Oldest first: what failovers have replaced. */
  readonly lost: (Timeline & { readonly lostAtMs: number })[] = [];
  /** By tenant and revision: events that were pruned away. */
  readonly #pruned = new Map<string, Map<bigint, Event>>();
  readonly #floors = new Map<string, Floor[]>();

  /** Everything, as it is now and as it was. */
  async read(database: Database): Promise<Truth> {
    const truth = await readTruth(database);
    const journals = new Map([...truth.journals].map(([tenant, events]) => [tenant, this.#whole(tenant, events)]));
    const lost = new Map<string, LostJournal[]>();
    for (const tenant of journals.keys()) {
      const lines = this.lost.map(({ journals: old, lostAtMs }) => ({
        events: old.get(tenant) ?? [],
        untilMs: lostAtMs,
      }));
      lost.set(tenant, lines);
    }
    return { ...truth, journals, lost, floors: this.#floors };
  }

  /** Writes down what is about to be replaced. Nothing may change it any more. */
  async keep(database: Database): Promise<void> {
    const { journals } = await this.read(database);
    this.lost.push({ lostAtMs: Date.now(), journals });
  }

  /**
   * Prunes a tenant's journal as an operator may: what lies below the floor is taken away, and the floor says so.
   * @returns how many events went
   */
  async prune(database: Database, tenant: string, keep: number): Promise<number> {
    await using session = await database.session();
    const { client } = session;
    await client.query("begin");
    const { rows: heads } = await client.query<{ floor: string }>(
      "update journal_head set floor = greatest(floor, revision - $2) where tenant_id = $1 returning floor",
      [tenant, keep],
    );
    const floor = heads[0]?.floor ?? "0";
    const { rows } = await client.query<{ payload: Buffer }>(
      `with gone as (delete from event where tenant_id = $1 and revision < $2 returning revision, payload)
       select payload from gone order by revision`,
      [tenant, floor],
    );
    // Before it is done, so that nobody can have been told of it earlier.
    const floors = this.#floors.get(tenant) ?? [];
    this.#floors.set(tenant, [...floors, { fromMs: Date.now(), revision: Number(floor) }]);
    const gone = decodeEvents(Buffer.concat(rows.map(({ payload }) => payload)));
    const kept = this.#pruned.get(tenant) ?? new Map<bigint, Event>();
    for (const event of gone) kept.set(event.revision, event);
    this.#pruned.set(tenant, kept);
    await client.query("commit");
    return gone.length;
  }

  /** The journal from its first event on, with what was pruned. */
  #whole(tenant: string, events: readonly Event[]): readonly Event[] {
    const first = events[0]?.revision ?? 1n;
    const pruned = [...(this.#pruned.get(tenant)?.values() ?? [])];
    const before = pruned.filter(({ revision }) => revision < first);
    return [...before.sort((a, b) => Number(a.revision - b.revision)), ...events];
  }
}
