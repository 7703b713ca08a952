import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import type { Floor } from "../guarantees/history.ts";
import { type LostJournal, readTruth, type Truth } from "../guarantees/truth.ts";
import type { TestDatabase } from "../support/database.ts";
import type { Database } from "./database.ts";
import type { Timeline } from "./ledger.ts";

/** An event that was pruned away, and its row as JSON. */
interface Pruned {
  readonly event: Event;
  readonly row: string;
}

/** What of a database is needed to prune it, and to look at it whole. */
type Sessions = Pick<Database, "session" | "appUrl" | "ownerUrl">;

/** Rows that are put back at a time. */
const PAGE = 1_000;

/** What the database has said over the run, across prunes and failovers. */
export class Chronicle {
  /** Oldest first: what failovers have replaced. */
  readonly lost: (Timeline & { readonly lostAtMs: number })[] = [];
  /** By tenant and revision: events that were pruned away. */
  readonly #pruned = new Map<string, Map<bigint, Pruned>>();
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
  async prune(database: Sessions, tenant: string, keep: number): Promise<number> {
    await using session = await database.session();
    const { client } = session;
    await client.query("begin");
    const { rows: heads } = await client.query<{ floor: string }>(
      "update journal_head set floor = greatest(floor, revision - $2) where tenant_id = $1 returning floor",
      [tenant, keep],
    );
    const floor = heads[0]?.floor ?? "0";
    const { rows } = await client.query<{ payload: Buffer; row: string }>(
      `with gone as (delete from event where tenant_id = $1 and revision < $2 returning *)
       select payload, to_json(gone)::text as row from gone order by revision`,
      [tenant, floor],
    );
    // Before it is done, so that nobody can have been told of it earlier.
    const floors = this.#floors.get(tenant) ?? [];
    this.#floors.set(tenant, [...floors, { fromMs: Date.now(), revision: Number(floor) }]);
    const kept = this.#pruned.get(tenant) ?? new Map<bigint, Pruned>();
    for (const { payload, row } of rows) {
      for (const event of decodeEvents(payload)) kept.set(event.revision, { event, row });
    }
    this.#pruned.set(tenant, kept);
    await client.query("commit");
    return rows.length;
  }

  /**
   * Lets somebody look at the database with its journals whole: what was pruned is put back in a transaction that is undone
   * afterwards, so that rows can be held against all events that made them.
   */
  async withPruned<T>(database: Sessions, look: (whole: TestDatabase) => Promise<T>): Promise<T> {
    await using session = await database.session();
    const { client } = session;
    await client.query("begin isolation level repeatable read");
    for (const tenant of this.#pruned.keys()) {
      const { rows: firsts } = await client.query<{ revision: string }>(
        "select revision from event where tenant_id = $1 order by revision limit 1",
        [tenant],
      );
      const rows = this.#before(tenant, BigInt(firsts[0]?.revision ?? 1)).map(({ row }) => row);
      // The columns that there were: a migration may have added some since, which have defaults.
      const columns = Object.keys(JSON.parse(rows[0] ?? "{}")).join(", ");
      for (let from = 0; from < rows.length; from += PAGE) {
        await client.query(
          `insert into event (${columns}) select ${columns} from json_populate_recordset(null::event, $1)`,
          [`[${rows.slice(from, from + PAGE).join(",")}]`],
        );
      }
    }
    const found = await look({
      appUrl: database.appUrl,
      ownerUrl: database.ownerUrl,
      sql: async <R>(text: string, values?: unknown[]) => (await client.query(text, values)).rows as R[],
      [Symbol.asyncDispose]: async () => undefined,
    });
    await client.query("rollback");
    return found;
  }

  /** The journal from its first event on, with what was pruned. */
  #whole(tenant: string, events: readonly Event[]): readonly Event[] {
    return [...this.#before(tenant, events[0]?.revision ?? 1n).map(({ event }) => event), ...events];
  }

  /** What was pruned from before a revision, in order. What a failover has brought back is not. */
  #before(tenant: string, first: bigint): Pruned[] {
    const pruned = [...(this.#pruned.get(tenant)?.values() ?? [])].filter(({ event }) => event.revision < first);
    return pruned.sort((a, b) => Number(a.event.revision - b.event.revision));
  }
}
