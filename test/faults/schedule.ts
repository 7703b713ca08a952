import { busFaults } from "./bus-faults.ts";
import { databaseFaults } from "./database-faults.ts";
import type { Fault } from "./fault.ts";
import { instanceFaults } from "./instance-faults.ts";
import { poolExhausted } from "./pool-fault.ts";
import { readerFaults } from "./reader-faults.ts";
import type { Run } from "./run.ts";

export interface ScheduleOptions {
  readonly minutes: number;
  /** Names, or beginnings of names, of the faults to choose from; empty: all. */
  readonly only: readonly string[];
  /** The shortest and the longest time for which an instance is stopped. */
  readonly stopMs: readonly [number, number];
  /** Told when a fault begins and when it is mended. */
  readonly onFault: (name: string, state: "begins" | "mended" | "missed") => void;
}

/** Every fault there is. */
export function allFaults(stopMs: readonly [number, number] = [5_000, 30_000]): Fault[] {
  return [...instanceFaults(stopMs), ...databaseFaults, poolExhausted, ...busFaults, ...readerFaults];
}

/** Times that a fault may miss its moment before it counts as one that never happens. */
const TRIES = 4;

/**
 * Brings faults about, in an order that the seed draws, two at a time: one of the servers and one of the bus and readers.
 * Each happens at least once; then it goes on until the time is over.
 *
 * @param counts how often each has happened so far: known also when something throws
 */
export async function bringAbout(run: Run, options: ScheduleOptions, counts: Map<string, number>): Promise<void> {
  const chosen = allFaults(options.stopMs).filter(({ name }) => {
    return options.only.length === 0 || options.only.some((word) => name.includes(word));
  });
  for (const { name } of chosen) counts.set(name, 0);
  const until = Date.now() + options.minutes * 60_000;
  const lanes = (["servers", "bus"] as const).map((lane) => chosen.filter((fault) => fault.lane === lane));
  // One lane's trouble ends the other too.
  const trouble = new AbortController();
  await Promise.all(
    lanes.map((faults) =>
      followLane(run, faults, until, counts, options, trouble.signal).catch((error: unknown) => {
        trouble.abort();
        throw error;
      }),
    ),
  );
}

async function followLane(
  run: Run,
  faults: readonly Fault[],
  until: number,
  counts: Map<string, number>,
  { onFault }: ScheduleOptions,
  trouble: AbortSignal,
): Promise<void> {
  const happen = async (fault: Fault) => {
    onFault(fault.name, "begins");
    const times = await fault.happen(run);
    if (fault.lane === "servers") await run.expectLive(fault.name);
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + times);
    onFault(fault.name, times > 0 ? "mended" : "missed");
  };
  let owed = shuffled(faults, run.random);
  for (let round = 0; round < TRIES && owed.length > 0; round += 1) {
    for (const fault of owed) if (!trouble.aborted) await happen(fault);
    owed = owed.filter(({ name }) => counts.get(name) === 0);
  }
  while (faults.length > 0 && Date.now() < until && !trouble.aborted) await happen(run.draw(faults));
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
