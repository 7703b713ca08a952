import { setTimeout as sleep } from "node:timers/promises";
import { comesToBe, type Fault } from "./fault.ts";
import { Rogue } from "./rogue.ts";
import type { Run } from "./run.ts";

/** Until a rogue has said something. */
const HEARING_MS = 60_000;

const natsKilled: Fault = {
  name: "NATS killed and restarted",
  lane: "bus",
  async happen(run) {
    await run.cluster.killNats();
    try {
      await sleep(run.between(500, 3_000));
    } finally {
      await run.cluster.startNats();
    }
    return 1;
  },
};

/** Some instances, or all, cannot reach NATS: refused, or without a word. */
function natsCut(how: "refused" | "silent"): Fault {
  return {
    name: `NATS cut off, ${how}`,
    lane: "bus",
    async happen(run) {
      const drawn = run.cluster.members.filter(() => run.random() < 0.7);
      const cut = drawn.length > 0 ? drawn : [run.draw(run.cluster.members)];
      for (const { nats } of cut) {
        if (how === "silent") nats.hush();
        else nats.close();
      }
      await sleep(run.between(1_000, 3_000));
      for (const { nats } of cut) nats.open();
      return cut.length;
    },
  };
}

const natsSlow: Fault = {
  name: "NATS slow",
  lane: "bus",
  async happen(run) {
    const members = [...run.cluster.members];
    for (const { nats } of members) nats.slow(run.between(50, 800));
    await sleep(run.between(1_000, 3_000));
    for (const { nats } of members) nats.slow(0);
    return 1;
  },
};

const natsRepeats: Fault = {
  name: "NATS repeating",
  lane: "bus",
  happen: (run) => letRogue(run, "again"),
};

const natsForges: Fault = {
  name: "NATS forging",
  lane: "bus",
  happen: (run) => letRogue(run, "forged"),
};

async function letRogue(run: Run, say: "again" | "forged"): Promise<number> {
  await using rogue = await Rogue.join(run.cluster.natsUrl, say, run.random);
  const enough = comesToBe(HEARING_MS, () => rogue.said > 200);
  await sleep(run.between(1_000, 3_000));
  // A key that nobody has revoked.
  if (say === "forged") rogue.revoke(run.draw(run.tenants).viewerId);
  return (await enough) ? 1 : 0;
}

export const busFaults: readonly Fault[] = [
  natsKilled,
  natsCut("refused"),
  natsCut("silent"),
  natsSlow,
  natsRepeats,
  natsForges,
];
