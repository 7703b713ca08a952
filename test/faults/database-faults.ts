import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { comesToBe, type Fault, within } from "./fault.ts";
import { expectPrompt } from "./instance-faults.ts";
import type { Run } from "./run.ts";
import type { Tenant } from "./writers.ts";

const MOMENT_MS = 15_000;
/** How long it may take to fill Postgres up. */
const FILLING_MS = 30_000;
const GROWING_MS = 20_000;
/** What every instance's writer sends with its COMMIT. */
const COMMITTING = "move-heads";
/** A place in Postgres that is free only for superusers. */
const TOO_MANY = "53300";

/** Ends it as an operator would, who lets it write everything down, or as a crash would, after which it recovers. */
function postgresRestarted(how: "stop" | "kill"): Fault {
  return {
    name: how === "stop" ? "Postgres stopped and restarted" : "Postgres killed -9 and restarted",
    lane: "servers",
    async happen(run) {
      const { database } = run.cluster;
      await database.end(how);
      await sleep(run.between(0, 1_000));
      await database.start();
      return 1;
    },
  };
}

/** COMMITs that Postgres gets, and whose answers do not come back. */
const cutInCommit: Fault = {
  name: "connection cut in mid-COMMIT",
  lane: "servers",
  async happen(run) {
    let cuts = 0;
    for (const member of [...run.cluster.members, ...run.cluster.members]) {
      if (await within(MOMENT_MS, member.database.cutAfterSending(COMMITTING))) cuts += 1;
      await sleep(run.between(0, 300));
    }
    return cuts;
  },
};

/** Others take every place in Postgres, and an instance that has lost its connections gets no new one. */
const placesTaken: Fault = {
  name: "connections to Postgres exhausted",
  lane: "servers",
  async happen(run) {
    const victim = run.draw(run.cluster.members);
    const taken: Client[] = [];
    const begun = Date.now();
    const until = begun + run.between(1_500, 3_000);
    let refused = 0;
    try {
      victim.database.cut();
      while (Date.now() < (refused > 0 ? until : begun + FILLING_MS)) {
        const client = new Client({ connectionString: run.cluster.database.appUrl, application_name: "taker" });
        client.on("error", () => undefined);
        try {
          await client.connect();
          taken.push(client);
        } catch (error) {
          if (!(error instanceof DatabaseError) || error.code !== TOO_MANY) throw error;
          refused += 1;
          // A victim that was quicker at some places loses them.
          if (refused === 1) victim.database.cut();
          await sleep(20);
        }
      }
    } finally {
      await Promise.all(taken.map((client) => client.end()));
    }
    return refused > 0 ? 1 : 0;
  },
};

/** Somebody locks a tenant's head and goes to lunch. That tenant waits; the others do not. */
const idleInTransaction: Fault = {
  name: "idle-in-transaction session on a head",
  lane: "servers",
  async happen(run) {
    const held = run.draw(run.tenants);
    const others = run.tenants.filter((tenant) => tenant !== held);
    await using session = await run.cluster.database.session();
    await session.client.query("begin");
    await session.client.query("select from journal_head where tenant_id = $1 for update", [held.id]);
    const until = Date.now() + run.between(3_000, 5_000);
    await expectPrompt(run, run.cluster.members, others, until, `the head of ${held.id} was locked by a session`);
    await session.client.query("rollback");
    return 1;
  },
};

/**
 * A failover that loses the tail: an older copy of the data folder takes the place of the newer one, and grows past what was
 * lost. Before, everything that was there is written down: what was answered and is in it is lost by this and nothing else.
 */
const failover: Fault = {
  name: "failover that lost the tail",
  lane: "servers",
  async happen(run) {
    const { cluster, chronicle } = run;
    const { database } = cluster;
    await database.backUp();
    const before = run.ledger.count("acked");
    await comesToBe(MOMENT_MS, () => run.ledger.count("acked") > before + 40 * run.tenants.length);
    for (const member of cluster.members) member.database.close();
    // What was committed and not answered yet is in what is read now.
    await database.quiet();
    await chronicle.keep(database);
    await database.end("kill");
    database.restore();
    await database.start();
    for (const member of cluster.members) member.database.open();
    await growPast(run);
    return 1;
  },
};

/** Waits until every journal is longer than the one that was lost. */
async function growPast(run: Run): Promise<void> {
  const lost = run.chronicle.lost.at(-1);
  const isLonger = async (tenant: Tenant) => {
    return (await run.headOf(tenant)) > (lost?.journals.get(tenant.id)?.at(-1)?.revision ?? 0n);
  };
  for (const tenant of run.tenants) {
    if (await run.comesToBe(GROWING_MS, () => isLonger(tenant))) continue;
    run.wrong("live", tenant.id, `its journal did not grow past what a failover had lost for ${GROWING_MS} ms`);
  }
}

export const databaseFaults: readonly Fault[] = [
  postgresRestarted("stop"),
  postgresRestarted("kill"),
  cutInCommit,
  placesTaken,
  idleInTransaction,
  failover,
];
