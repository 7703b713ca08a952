import { toBinary } from "@bufbuild/protobuf";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { STANDARD_DEFINITION } from "../../src/domain/standard-flow.ts";
import type { Extension } from "../../src/domain/stored-event.ts";
import { orderRef } from "../../src/domain/subject.ts";
import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startProxy } from "../support/proxy.ts";
import { ask, command, needing, poisonous, poisonousLate, refusing, starting } from "./commands.ts";

/** What group commit promises, on a Postgres server given by its superuser's URL. */
export function groupCommitSuite(superuserUrl: () => string): void {
  let database: TestDatabase;
  let journal: PostgresJournal;
  let committed: Extension[];
  let troubles: string[];

  function open(url = database.appUrl, lockTimeoutMs = 500): PostgresJournal {
    return new PostgresJournal({
      connection: { url, lockTimeoutMs },
      onCommit: (extensions) => committed.push(...extensions),
      onTrouble: (what) => troubles.push(what),
    });
  }

  beforeAll(async () => {
    database = await createTestDatabase(superuserUrl());
    for (const tenant of ["a", "b", "c"]) await createTenant(database, tenant);
    journal = open();
  });
  afterAll(async () => {
    await journal.close();
    await database[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    committed = [];
    troubles = [];
  });

  describe("a batch", () => {
    it("commits what was submitted together in one transaction, in order, for all tenants", async () => {
      const answers = await Promise.all(
        ["a", "b", "a", "b"].map((tenant, i) => journal.submit(ask({ tenant, order: "batch", sourceId: `r${i}` }))),
      );
      expect(answers.map((a) => a.version)).toEqual([2n, 2n, 3n, 3n]);
      expect(committed.map((e) => [e.tenant, e.events.length])).toEqual([
        ["a", 3],
        ["b", 3],
      ]);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("is written in portions while it is decided, in one transaction, and what comes again later is changed again", async () => {
      const count = 600;
      const submitted = Array.from({ length: count }, (_, i) => {
        const order = `wide-${i % 200}`; // each comes in several portions
        const requestId = i % 300 === 7 ? "asked-twice" : `wide-${i}`;
        return journal.submit(ask({ tenant: "b", order, sourceId: `w${i}`, requestId, asked: requestId }));
      });
      const answers = await Promise.all(submitted);
      const repeated = answers[307];
      expect(answers[7]).toEqual(repeated);
      const versions = answers.filter((_, i) => i !== 307).map(({ version }) => Number(version));
      const expected = Array.from({ length: count }, (_, i) => 2 + Math.floor(i / 200)).filter((_, i) => i !== 307);
      expected[507 - 1] = 3; // its second report was the first one again
      expect(versions).toEqual(expected);
      const [{ transactions = 0 } = {}] = await database.sql(
        "select count(distinct xmin::text)::int as transactions from event where subject_id like 'wide-%'",
      );
      expect(transactions).toBe(1);
      expect(committed.map((e) => e.events.length)).toEqual([count - 1 + 200]);
      expect(troubles).toEqual([]);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("of many portions is split until a command that fails between them is alone", async () => {
      const submitted = Array.from({ length: 500 }, (_, i) => {
        const what = { tenant: "c", order: `portions-${i}` };
        return journal.submit(i === 200 ? poisonousLate(what) : ask(what));
      });
      const outcomes = await Promise.allSettled(submitted);
      expect(outcomes.flatMap(({ status }, i) => (status === "rejected" ? [i] : []))).toEqual([200]);
      expect(troubles[0]).toMatch(/^a batch of 500 is split after 2/);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("lets a refused command and a throwing one fail alone", async () => {
      const good = journal.submit(ask({ tenant: "a", order: "alone" }));
      const refused = journal.submit(refusing({ tenant: "a", order: "alone" }));
      const broken = journal.submit({
        ...ask({ tenant: "a", order: "alone" }),
        decide: () => {
          throw new TypeError("a fault of ours");
        },
      });
      const later = journal.submit(ask({ tenant: "a", order: "alone", sourceId: "x" }));
      await expect(refused).rejects.toMatchObject({ reason: ErrorReason.VERB_ILLEGAL });
      await expect(broken).rejects.toThrow("a fault of ours");
      expect((await good).version).toBe(1n);
      expect((await later).version).toBe(2n);
    });

    it("is split until a command that the database refuses is alone", async () => {
      const submitted = Array.from({ length: 9 }, (_, i) =>
        journal.submit(i === 4 ? poisonous({ tenant: "c", order: "p" }) : ask({ tenant: "c", order: `split-${i}` })),
      );
      const outcomes = await Promise.allSettled(submitted);
      expect(outcomes.map((o) => o.status)).toEqual(
        Array.from({ length: 9 }, (_, i) => (i === 4 ? "rejected" : "fulfilled")),
      );
      expect(troubles.length).toBeGreaterThan(1);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("refuses what would make a subject too large, and takes what is small all the same", async () => {
      const bounded = new PostgresJournal({
        connection: { url: database.appUrl },
        maxSubjectBytes: 10_000,
        onCommit: () => undefined,
      });
      const large = (sourceId: string) => ({ ...ask({ tenant: "a", order: "large", sourceId }), bytes: 6_000 });
      await bounded.submit(ask({ tenant: "a", order: "large" }));
      await bounded.submit(large("l1"));
      const together = await Promise.allSettled([bounded.submit(large("l2")), bounded.submit(large("l3"))]);
      expect(together.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
      expect(together[1]).toMatchObject({
        reason: { reason: ErrorReason.SUBJECT_FULL, metadata: { limit: "subject_bytes" } },
      });
      expect((await bounded.submit(ask({ tenant: "a", order: "large", sourceId: "small" }))).version).toBe(4n);
      await bounded.close();
    });

    it("fetches the flows of its orders; one that there is not fails its own commands alone", async () => {
      const definition = toBinary(FlowDefinitionSchema, STANDARD_DEFINITION);
      await database.sql(
        `insert into status_flow (tenant_id, id, name, published_version, edition, created_at, updated_at)
         select t, f, f, 1, 1, now(), now() from unnest(array['a', 'b']) t, unnest(array['one', 'two', 'three']) f`,
      );
      await database.sql(
        `insert into status_flow_version (tenant_id, flow_id, version, definition, published_at, published_by)
         select tenant_id, id, 1, $1, now(), 'test' from status_flow`,
        [Buffer.from(definition)],
      );
      const start = (on: PostgresJournal, tenant: string, flowId: string) =>
        on.submit(starting({ tenant, order: `${tenant}-${flowId}` }, { id: flowId, version: 1 }));
      const tried = ["one", "two", "missing", "three"].flatMap((flow) => [
        start(journal, "a", flow),
        start(journal, "b", flow),
      ]);
      const outcomes = await Promise.allSettled(tried);
      expect(outcomes.map(({ status }) => status)).toEqual(
        ["one", "two", "missing", "three"].flatMap((flow) => {
          const status = flow === "missing" ? "rejected" : "fulfilled";
          return [status, status];
        }),
      );
      expect(outcomes[4]).toMatchObject({
        reason: { message: expect.stringContaining('version 1 of flow "missing"') },
      });
      expect(troubles).toEqual([]);
      // Another instance, which has fetched none of them, decides on all of these orders in one batch.
      const fresh = open();
      const orders = ["a-one", "a-two", "a-three"].map((order) => ask({ tenant: "a", order, sourceId: "r" }));
      const answers = await Promise.all(orders.map((one) => fresh.submit(one)));
      expect(answers.map(({ version }) => version)).toEqual([2n, 2n, 2n]);
      await fresh.close();
      const rows = await database.sql(
        "select id, flow_id, flow_version from subject where flow_id = 'two' order by id",
      );
      expect(rows).toEqual(["a-two", "b-two"].map((id) => ({ id, flow_id: "two", flow_version: 1 })));
      expect(await journalFaults(database)).toEqual([]);
    });

    it("loads what its commands turn out to need, however many of them ask for more", async () => {
      const ids = Array.from({ length: 30 }, (_, i) => `needed-${i}`);
      await Promise.all(ids.map((order) => journal.submit(ask({ tenant: "a", order }))));
      const outcomes = await Promise.allSettled(
        ids.map((order, i) => journal.submit(needing({ tenant: i % 3 === 0 ? "b" : "a", order: `needs-${i}` }, order))),
      );
      expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("fails a command that never has enough alone", async () => {
      const insatiable = journal.submit(
        command({ tenant: "a", order: "more" }, (load) => {
          let next = 0;
          while (load.has(orderRef(`more-${next}`))) next += 1;
          return { needs: [orderRef(`more-${next}`)] };
        }),
      );
      const other = journal.submit(ask({ tenant: "a", order: "enough" }));
      await expect(insatiable).rejects.toThrow("still needs subjects");
      expect((await other).version).toBe(1n);
    });

    it("that fails leaves what was opened behind it in order", async () => {
      const write = (sourceId: string) => journal.submit(ask({ tenant: "b", order: "behind", sourceId }));
      const first = Promise.allSettled([write("0"), journal.submit(poisonousLate({ tenant: "c", order: "behind" }))]);
      // While they are decided these wait; they are opened behind the batch that fails.
      const later: Promise<unknown>[] = [];
      for (let i = 1; i <= 40; i += 1) {
        later.push(write(String(i)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect((await first).map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
      await Promise.all(later);
      const stored = await journal.history("b", orderRef("behind"), 2n, 100, 1_000_000);
      const reported = decodeEvents(Buffer.concat(stored.map((e) => e.payload))).map(({ change }) =>
        change.case === "reported" ? change.value.report?.report?.sourceId : change.case,
      );
      expect(reported).toEqual(Array.from({ length: 41 }, (_, i) => String(i)));
      expect(await journalFaults(database)).toEqual([]);
    });

    it("comes to the culprit while other tenants keep writing", async () => {
      let stop = false;
      const others = ["a", "b"].map(async (tenant) => {
        for (let i = 0; !stop; i += 1) {
          await Promise.all(
            [0, 1, 2].map((n) => journal.submit(ask({ tenant, order: "busy", sourceId: `${n}/${i}` }))),
          );
        }
      });
      await expect(journal.submit(poisonous({ tenant: "c", order: "q" }))).rejects.toThrow("0x00");
      stop = true;
      await Promise.all(others);
      expect(await journalFaults(database)).toEqual([]);
    });

    it("writes events that say which command they are of", async () => {
      await journal.submit(ask({ tenant: "a", order: "parts", sourceId: "s" }));
      const stored = await journal.history("a", orderRef("parts"), 1n, 10, 1_000_000);
      const events = decodeEvents(Buffer.concat(stored.map((e) => e.payload)));
      expect(events.map((e) => [e.command?.index, e.command?.count])).toEqual([
        [0, 2],
        [1, 2],
      ]);
      expect(new Set(events.map((e) => e.command?.id)).size).toBe(1);
      expect(events.map((e) => e.after.case)).toEqual(["order", "order"]);
      expect(stored.map((e) => `${e.revision}-${e.eventId}`)).toEqual(events.map((e) => e.position));
    });

    it("refuses a tenant that does not exist", async () => {
      await expect(journal.submit(ask({ tenant: "nobody", order: "x" }))).rejects.toMatchObject({
        reason: ErrorReason.TENANT_UNKNOWN,
      });
    });
  });

  describe("a request id", () => {
    it("gives the same answer and one effect, together and later", async () => {
      const what = { tenant: "a", order: "once", sourceId: "r", requestId: "one" };
      const [first, together] = await Promise.all([journal.submit(ask(what)), journal.submit(ask(what))]);
      await journal.submit(ask({ tenant: "a", order: "once", sourceId: "other" }));
      const later = await journal.submit(ask(what));
      expect(together).toEqual(first);
      expect(later).toEqual(first);
      const history = await journal.history("a", orderRef("once"), 1n, 10, 1_000_000);
      expect(history).toHaveLength(3);
    });

    it("is refused with another request", async () => {
      await journal.submit(ask({ tenant: "a", order: "reused", requestId: "two" }));
      await expect(journal.submit(ask({ tenant: "a", order: "other", requestId: "two" }))).rejects.toMatchObject({
        reason: ErrorReason.REQUEST_ID_REUSED,
      });
    });

    it("is the tenant's own", async () => {
      await journal.submit(ask({ tenant: "a", order: "mine", requestId: "three" }));
      const other = await journal.submit(ask({ tenant: "b", order: "theirs", requestId: "three" }));
      expect(other.version).toBe(1n);
    });
  });

  describe("several instances", () => {
    it("write one journal without holes, and no update is lost", async () => {
      await using others = new AsyncDisposableStack();
      const journals = [journal, open(), open()];
      for (const other of journals.slice(1)) others.defer(() => other.close());
      const writes = Array.from({ length: 300 }, (_, i) => {
        const writer = journals[i % 3] ?? journal;
        return writer.submit(ask({ tenant: "b", order: `shared-${i % 7}`, sourceId: `w${i}` }));
      });
      await Promise.all(writes);
      expect(await journalFaults(database)).toEqual([]);
      const [count] = await database.sql<{ n: number }>(
        "select count(*)::int n from event where tenant_id = 'b' and subject_id like 'shared-%'",
      );
      expect(count?.n).toBe(307);
    });

    it("pass by a tenant whose head another instance holds, and wait for it in the end", async () => {
      await using blocker = await holdHead("c");
      const held = journal.submit(ask({ tenant: "c", order: "held" }));
      const free = await journal.submit(ask({ tenant: "a", order: "free" }));
      expect(free.version).toBe(1n);
      await blocker.release();
      expect((await held).version).toBe(1n);
    });

    it("take turns at a tenant that one of them could keep for itself", async () => {
      await using other = new AsyncDisposableStack();
      const second = open(database.appUrl, 2_000);
      other.defer(() => second.close());
      let stop = false;
      const busy = Array.from({ length: 64 }, async (_, n) => {
        if (n > 0) await new Promise((resolve) => setImmediate(resolve)); // behind the first one, and so all the time
        for (let i = 0; !stop; i += 1) await journal.submit(ask({ tenant: "b", order: `turn-${n}`, sourceId: `${i}` }));
      });
      for (let i = 0; i < 10; i += 1) await second.submit(ask({ tenant: "b", order: "turns", sourceId: `s${i}` }));
      stop = true;
      await Promise.all(busy);
      expect(troubles).toEqual([]); // nobody waited for a lock for as long as lock_timeout
      expect(await journalFaults(database)).toEqual([]);
    });

    it("are rid of a stopped writer by its idle-in-transaction timeout", async () => {
      await using _blocker = await holdHead("c", 300);
      expect((await journal.submit(ask({ tenant: "c", order: "stopped" }))).version).toBe(1n);
    });
  });

  describe("a connection that breaks", () => {
    it("during COMMIT is found out: committed once, answered once", async () => {
      const url = new URL(database.appUrl);
      await using proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
      url.port = String(proxy.port);
      const through = open(url.href);
      await through.submit(ask({ tenant: "a", order: "doubt" }));
      committed = [];
      const cut = proxy.cutAfterSending("commit");
      const doubtful = Promise.all([
        through.submit(ask({ tenant: "a", order: "doubt", sourceId: "d1" })),
        through.submit(ask({ tenant: "b", order: "doubt", sourceId: "d2" })),
      ]);
      await Promise.resolve(); // these two have been taken
      const behind = through.submit(ask({ tenant: "a", order: "behind", sourceId: "d3" }));
      const answers = await doubtful;
      await cut;
      expect((await behind).version).toBe(2n);
      expect(answers.map((a) => a.version)).toEqual([2n, 2n]);
      expect(committed.flatMap((e) => e.events)).toHaveLength(5);
      expect(troubles).toContain("the database connection was lost");
      expect(await journalFaults(database)).toEqual([]);
      await through.close();
    });

    it("before COMMIT leaves nothing behind, and the batch is done again", async () => {
      const url = new URL(database.appUrl);
      await using proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
      url.port = String(proxy.port);
      const through = open(url.href);
      await through.submit(ask({ tenant: "a", order: "early" }));
      const cut = proxy.cutAfterSending("begin");
      const answer = await through.submit(ask({ tenant: "a", order: "early", sourceId: "e" }));
      await cut;
      expect(answer.version).toBe(2n);
      expect(await journalFaults(database)).toEqual([]);
      await through.close();
    });

    it("leads to a server that does not write is made anew, until one does", async () => {
      const { username, pathname } = new URL(database.appUrl);
      const scope = `alter role ${username} in database ${pathname.slice(1)}`;
      await database.sql(`${scope} set default_transaction_read_only = on`);
      const elsewhere = open();
      const submitted = elsewhere.submit(ask({ tenant: "a", order: "standby" }));
      await vi.waitFor(() => expect(troubles).toContain("a batch of 1 is tried again after 25006"));
      await database.sql(`${scope} reset default_transaction_read_only`);
      expect((await submitted).version).toBe(1n);
      await elsewhere.close();
    });

    it("and stays broken is DATABASE_UNAVAILABLE, for writes and reads", async () => {
      const url = new URL(database.appUrl);
      await using proxy = await startProxy({ host: url.hostname, port: Number(url.port) });
      url.port = String(proxy.port);
      const through = new PostgresJournal({
        connection: { url: url.href },
        giveUpAfterMs: 200,
        onCommit: () => undefined,
      });
      proxy.close();
      const unavailable = { reason: ErrorReason.DATABASE_UNAVAILABLE };
      await expect(through.submit(ask({ tenant: "a", order: "down" }))).rejects.toMatchObject(unavailable);
      await expect(through.subject("a", orderRef("down"))).rejects.toMatchObject(unavailable);
      await through.close();
    });
  });

  /** Locks a tenant's head as another instance's open transaction does. */
  async function holdHead(tenant: string, idleTimeoutMs = 60_000) {
    const client = new Client({
      connectionString: database.appUrl,
      idle_in_transaction_session_timeout: idleTimeoutMs,
    });
    client.on("error", () => undefined);
    await client.connect();
    await client.query("begin");
    await client.query("select set_config('app.tenants', $1, true)", [tenant]);
    const locked = await client.query("select 1 from journal_head where tenant_id = $1 for update", [tenant]);
    expect(locked.rowCount).toBe(1);
    return {
      release: () => client.query("rollback"),
      [Symbol.asyncDispose]: () => client.end().catch(() => undefined),
    };
  }
}
