import { setTimeout as sleep } from "node:timers/promises";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { CallFailed, HUNG_MS } from "./callers.ts";
import type { Member } from "./cluster.ts";
import { comesToBe, type Fault } from "./fault.ts";
import type { Run } from "./run.ts";

/** What an instance's pool has by default. */
const PLACES = 4;
const FILLING_MS = 30_000;

/**
 * Somebody locks the table of keys, as an operator's maintenance may: every place of every instance's pool is taken by a look-up
 * that waits, and more wait for a place. Each is answered, at the latest by the lock timeout, and never as a fault of the
 * server's; afterwards every instance looks up again.
 */
export const poolExhausted: Fault = {
  name: "pool of each instance exhausted",
  lane: "servers",
  async happen(run) {
    const { database, members } = run.cluster;
    await using session = await database.session();
    await session.client.query("begin");
    await session.client.query("lock table api_key in access exclusive mode");
    let held = true;
    const callers = members.flatMap((member) =>
      Array.from({ length: 2 * PLACES }, async () => {
        while (held) {
          await lookUp(run, member);
          await sleep(20);
        }
      }),
    );
    const waiting = "select from pg_stat_activity where usename = 'leadline' and wait_event_type = 'Lock'";
    const isFull = async () => (await database.sql(waiting)).length >= PLACES * members.length;
    const happened = await comesToBe(FILLING_MS, isFull);
    await sleep(run.between(0, 1_500));
    held = false;
    await session.client.query("rollback");
    await Promise.all(callers);
    for (const member of members) {
      if (await run.comesToBe(LOOKING_UP_AGAIN_MS, () => lookUp(run, member))) continue;
      run.wrong(
        "live",
        member.name,
        `could not look anything up for ${LOOKING_UP_AGAIN_MS} ms after its pool was exhausted`,
      );
    }
    return happened ? 1 : 0;
  },
};

const LOOKING_UP_AGAIN_MS = 10_000;

/** Reads a tenant with what it uses, its keys counted. @returns whether it was answered */
async function lookUp(run: Run, member: Member): Promise<boolean> {
  const { keys } = run.draw(run.tenants);
  try {
    await run.direct.once(member, TenantService.method.getTenant, {}, keys.viewer, HUNG_MS);
    return true;
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    if (error.isRefusal || error.reason === "INTERNAL")
      run.wrong("answers", member.name, `GetTenant: ${error.message}`);
    return false;
  }
}
