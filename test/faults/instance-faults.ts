import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { CallFailed, HUNG_MS } from "./callers.ts";
import { LOCK_TIMEOUT_MS, type Member } from "./cluster.ts";
import { type Fault, within } from "./fault.ts";
import { migrateToNext, nextRelease } from "./next-release.ts";
import type { Run } from "./run.ts";
import type { Tenant } from "./writers.ts";

/** How long a fault waits for its moment. */
const MOMENT_MS = 15_000;
/** What the run's own load may add to a bound, beside what the machine withholds. */
export const SLACK_MS = 1_000;

/** For how long an instance tries a command, by the wall clock: on a machine that withholds more than this it may give up. */
const GIVE_UP_MS = 10_000;

/** In a batch's second flight stands this name, and behind it COMMIT. */
const COMMITTING = "move-heads";
/** In its first flight: the answer leaves the batch with locks and nothing sent. */
const LOCKING = "lock-heads";

/** Kills an instance at its COMMIT, which Postgres is still sent or never gets, and starts it again. */
function killAtCommit(isSent: boolean): Fault {
  return {
    name: `instance killed during a group commit, COMMIT ${isSent ? "sent" : "not sent"}`,
    lane: "servers",
    async happen(run) {
      const victim = run.draw(run.cluster.members);
      const killed = Promise.withResolvers<void>();
      const callOff = victim.database.beforeSending(COMMITTING, () => {
        victim.signal("SIGKILL");
        if (!isSent) victim.database.cut();
        killed.resolve();
      });
      const happened = await within(MOMENT_MS, killed.promise);
      callOff();
      return restartAfter(run, victim, happened);
    },
  };
}

/** Kills an instance when the first of its watchers has an event that the others do not have yet. */
const killInFanOut: Fault = {
  name: "instance killed during fan-out",
  lane: "servers",
  async happen(run) {
    // One that has watchers: after restarts most of them may be with another, which is then always the first to tell.
    const watched = run.watchers.flatMap(({ at }) => run.cluster.members.filter((member) => member === at));
    const victim = run.draw(watched);
    const killed = Promise.withResolvers<void>();
    const newest = new Map<string, bigint>();
    const callOff = run.onEvent((event, by) => {
      const { tenant } = by.plan.reader;
      if (by.at !== victim || event.revision <= (newest.get(tenant) ?? 0n)) return;
      newest.set(tenant, event.revision);
      if (run.random() > 0.1) return;
      callOff();
      victim.signal("SIGKILL");
      killed.resolve();
    });
    const happened = await within(MOMENT_MS, killed.promise);
    callOff();
    return restartAfter(run, victim, happened);
  },
};

async function restartAfter(run: Run, victim: Member, happened: boolean): Promise<number> {
  if (!happened) return 0;
  await victim.kill();
  await sleep(run.between(100, 1_000));
  await victim.start();
  return 1;
}

/** Stops a process in the middle of a transaction, for longer than any timeout; the others must go on writing. */
function stopFor(shortestMs: number, longestMs: number): Fault {
  return {
    name: "instance stopped",
    lane: "servers",
    async happen(run) {
      const victim = run.draw(run.cluster.members);
      const stopped = Promise.withResolvers<void>();
      const callOff = victim.database.beforeSending(LOCKING, () => {
        victim.signal("SIGSTOP");
        stopped.resolve();
      });
      const happened = await within(MOMENT_MS, stopped.promise);
      callOff();
      if (!happened) return 0;
      const until = Date.now() + run.between(shortestMs, longestMs);
      try {
        const others = run.cluster.members.filter((member) => member !== victim);
        await expectPrompt(run, others, run.tenants, until, `${victim.name} was stopped`);
      } finally {
        victim.signal("SIGCONT");
      }
      return 1;
    },
  };
}

/**
 * Writes on through these instances until a time, one write after the other for each tenant; none may take too long. What the
 * machine withheld meanwhile is not counted (`Withheld`), nor is a tenant looked at that floods itself (`Run.flooded`): it waits for
 * its own writes.
 */
export async function expectPrompt(
  run: Run,
  members: readonly Member[],
  tenants: readonly Tenant[],
  untilMs: number,
  when: string,
): Promise<void> {
  const bound = LOCK_TIMEOUT_MS + SLACK_MS;
  await Promise.all(
    members.flatMap((member) =>
      tenants.map(async (tenant) => {
        while (Date.now() < untilMs) {
          if (run.flooded.has(tenant.id)) {
            await sleep(100);
            continue;
          }
          const entry = run.ledger.open(tenant.id, "CreateOrder", "PO");
          const [before, withheld] = [performance.now(), run.withheld.ms];
          let failure: CallFailed | undefined;
          try {
            const { createOrder } = OrderService.method;
            await run.calls.once(member, createOrder, { orderId: entry.token }, tenant.keys.operator, HUNG_MS);
            run.ledger.settle(entry, "acked");
          } catch (error) {
            if (!(error instanceof CallFailed)) throw error;
            run.ledger.settle(entry, error.isRefusal ? "refused" : "unknown", { isCertain: error.isRefusal });
            failure = error;
          }
          const lasted = performance.now() - before;
          const took = lasted - (run.withheld.ms - withheld);
          const gaveUp = failure?.reason === "DATABASE_UNAVAILABLE" && lasted >= GIVE_UP_MS && took <= bound;
          if (failure && !gaveUp) {
            run.wrong("prompt", member.name, `a write of ${tenant.id} failed while ${when}: ${failure.message}`);
          }
          if (took > bound && !run.flooded.has(tenant.id)) {
            const text = `a write of ${tenant.id} took ${Math.round(took)} ms that the machine gave while ${when}; ${bound} are allowed`;
            run.wrong("prompt", member.name, text);
          }
          run.delays.push(took);
          await sleep(100);
        }
      }),
    ),
  );
}

/** Restarts one instance after the other; whoever retries UNAVAILABLE with backoff for 10 s does not notice. */
const rollingRestart: Fault = {
  name: "rolling restart under load",
  lane: "servers",
  async happen(run) {
    let restarting = true;
    const callers = run.tenants.map(async (tenant) => {
      while (restarting) {
        const entry = run.ledger.open(tenant.id, "CreateOrder", "PO");
        const request = { orderId: entry.token, requestId: entry.token };
        try {
          await run.direct.retrying(OrderService.method.createOrder, request, tenant.keys.operator, {
            only: Code.Unavailable,
          });
          run.ledger.settle(entry, "acked");
        } catch (error) {
          if (!(error instanceof CallFailed)) throw error;
          run.ledger.settle(entry, "unknown");
          run.wrong("rolling restart", tenant.id, `a call that is retried failed: ${error.message}`);
        }
        await sleep(20);
      }
    });
    try {
      for (const member of [...run.cluster.members]) {
        const withheld = run.withheld.ms;
        const isDrained = await member.stop();
        // A machine that withheld a second has withheld it from the draining too.
        if (!isDrained && run.withheld.ms - withheld < 1_000) {
          run.wrong("rolling restart", member.name, "it had not drained in 15 s, and was killed");
        }
        await member.start();
      }
    } finally {
      restarting = false;
      await Promise.all(callers);
    }
    return 1;
  },
};

/** This release beside the next one, on the next one's schema: see `next-release.ts`. */
const twoReleases: Fault = {
  name: "two releases on the newer schema",
  lane: "servers",
  async happen(run) {
    await using release = nextRelease();
    const before = run.cluster.members.length;
    await migrateToNext(release.folder, run.cluster.database.ownerUrl, run.cluster.compiled);
    const next = await run.cluster.add("next", release.folder);
    try {
      await sleep(1_000);
      // One of this release starts on the schema of the next.
      const one = run.draw(run.cluster.members.slice(0, before));
      await one.stop();
      await one.start();
      await run.expectLive("the next release came");
    } finally {
      await run.cluster.remove(next);
    }
    return 1;
  },
};

/** @param stopMs the shortest and the longest time for which an instance is stopped */
export function instanceFaults(stopMs: readonly [number, number]): Fault[] {
  return [killAtCommit(true), killAtCommit(false), killInFanOut, stopFor(...stopMs), rollingRestart, twoReleases];
}
