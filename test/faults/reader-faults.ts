import { setTimeout as sleep } from "node:timers/promises";
import { callerKinds } from "../doors/callers.ts";
import { comesToBe, type Fault } from "./fault.ts";
import { LIVE_MS, type Run } from "./run.ts";
import type { Plan, Watcher } from "./watcher.ts";
import type { Tenant } from "./writers.ts";

const PATIENCE_MS = 30_000;
/**
 * Until everybody's watch has started again after a storm. The servers' faults go on meanwhile: it is time for two attempts
 * at instances that do not answer, and for one that succeeds.
 */
const STARTED_AGAIN_MS = 30_000;
/** Very large batches that are sent before, at a time. */
const FLOODS = 3;
/** How often readers stall at most until one of them is ended for it. */
const STALLS = 4;
/** How far behind a watcher is when what it needs is pruned, and how much is kept. */
const BEHIND = 60n;
const KEPT = 20;

/** Everybody loses the connection at once, twice, comes back at once, and is let in. */
const storm: Fault = {
  name: "reconnect storm",
  lane: "bus",
  async happen(run) {
    const starts = new Map<Watcher, number>();
    for (let i = 0; i < 2; i += 1) {
      for (const watcher of run.watchers) {
        watcher.drop();
        starts.set(watcher, watcher.counts.starts);
      }
      await sleep(run.between(100, 500));
    }
    const missing = () => [...starts].filter(([{ counts }, before]) => counts.starts === before);
    if (await run.comesToBe(STARTED_AGAIN_MS, () => missing().length === 0)) return 1;
    for (const [{ plan }] of missing()) {
      run.wrong("live", plan.name, `had not started again ${STARTED_AGAIN_MS} ms after a reconnect storm`);
    }
    return 1;
  },
};

/** Readers who ask for everything and then take nothing. They are ended, come back, and have missed nothing. */
const stalledReaders: Fault = {
  name: "stalled readers",
  lane: "bus",
  async happen(run) {
    const tenant = run.draw(run.tenants);
    run.flooded.add(tenant.id);
    const writers = run.writers.filter((writer) => writer.tenant === tenant).slice(0, FLOODS);
    await Promise.all(writers.map((writer) => writer.tellMuch()));
    run.flooded.delete(tenant.id);
    for (let i = 0; i < STALLS; i += 1) if (await stallReaders(run, tenant)) return 1;
    return 0;
  },
};

/** Whether any of them was ended as slow: a fault of the servers may have broken their streams first. */
async function stallReaders(run: Run, tenant: Tenant): Promise<boolean> {
  const readers = await lateReaders(run, tenant);
  for (const reader of readers) {
    reader.stall();
    reader.start();
  }
  await sleep(run.between(4_000, 6_000));
  for (const reader of readers) reader.release();
  for (const reader of readers) await expectCaughtUp(run, reader);
  const ended = readers.filter(({ counts }) => counts.slow > 0);
  for (const reader of readers) await run.retire(reader);
  return ended.length > 0;
}

/** A watcher is far behind, and while it resumes what it needs is pruned: it gets all of it, or is reset. */
const pruning: Fault = {
  name: "pruning under a resuming watcher",
  lane: "bus",
  async happen(run) {
    const tenant = run.draw(run.tenants);
    const followers = run.watchers.filter((one) => one.plan.reader.tenant === tenant.id && one.plan.mode === "ALL");
    const chosen = Array.from({ length: 4 }, () => run.draw(followers));
    const left = await run.headOf(tenant);
    for (const one of chosen) one.leave();
    try {
      const isBehind = await comesToBe(PATIENCE_MS, async () => (await run.headOf(tenant)) > left + BEHIND);
      const pruned = run.chronicle.prune(run.cluster.database, tenant.id, KEPT);
      for (const one of chosen) one.comeBack();
      // Postgres may be gone at this very moment: then nothing was pruned.
      const gone = await pruned.catch(() => 0);
      return isBehind && gone > 0 ? 1 : 0;
    } finally {
      for (const one of chosen) one.comeBack();
    }
  },
};

/** It is told everything that there is now, within twice the usual time: the servers' faults go on meanwhile. */
async function expectCaughtUp(run: Run, reader: Watcher): Promise<void> {
  const tenant = run.tenants.find(({ id }) => id === reader.plan.reader.tenant);
  const head = tenant ? await run.headOf(tenant) : 0n;
  const isThere = () => BigInt(reader.position?.split("-")[0] ?? 0) >= head;
  if (await run.comesToBe(2 * LIVE_MS, isThere)) return;
  run.wrong("live", reader.plan.name, `was not at ${head} within 20 s after it began to read again`);
}

/** Some who begin where the journal begins. */
async function lateReaders(run: Run, tenant: Tenant): Promise<Watcher[]> {
  const [first] = await run.cluster.database.sql<{ revision: string; event_id: string }>(
    "select revision, event_id from event where tenant_id = $1 order by revision limit 1",
    [tenant.id],
  );
  const position = first && first.revision !== "1" ? `${first.revision}-${first.event_id}` : `0-${tenant.journalId}`;
  return callerKinds
    .filter(({ name }) => ["grpc-js on the gRPC door", "connect-node connect over HTTP/2 in proto"].includes(name))
    .map((kind) => {
      const reader = { tenant: tenant.id, visibility: { class: "staff" }, of: "orders", sees: () => true } as const;
      const name = `${tenant.id} stalled (${kind.name})`;
      const plan: Plan = {
        ...{ name, kind, reader, key: tenant.keys.viewer, filter: undefined },
        mode: "ALL",
        start: { position },
      };
      return run.join(plan);
    });
}

export const readerFaults: readonly Fault[] = [storm, stalledReaders, pruning];
