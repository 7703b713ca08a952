import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Client } from "./client.ts";
import { FakeClock } from "./fake-clock.ts";
import { Instance, orders } from "./instance.ts";
import { type Fate, LossyBus } from "./lossy-bus.ts";
import { type Change, MemoryJournal } from "./memory-journal.ts";

/*
 * Two instances over one journal, with a bus between them that drops, doubles, delays and garbles, a database that is away
 * now and then, processes that stand still, and clients that stop reading, lose their connections and resume on either
 * instance. Whatever happens, each client is told of exactly the events that match, once, in order; what it is promised is
 * so when it is promised; and once the storm is over it holds the state that the journal holds.
 */

type Step =
  | { readonly do: "commit"; readonly at: number; readonly fate: Fate; readonly changes: readonly Change[] }
  | { readonly do: "arrive" | "resync"; readonly at: number }
  | { readonly do: "outage"; readonly on: boolean }
  | { readonly do: "advance" | "freeze"; readonly ms: number }
  | { readonly do: "turn" }
  | { readonly do: "read" | "disconnect"; readonly client: number }
  | { readonly do: "connect"; readonly client: number; readonly at: number };

const STATUSES = ["RECEIVED", "BOOKED", "READY"];
const IDS = ["o1", "o2", "o3", "o4", "o5"];

const change = fc.record({
  order: fc.constantFrom(...IDS),
  status: fc.constantFrom(...STATUSES),
  padding: fc.constantFrom(0, 0, 0, 500),
});
const at = fc.nat({ max: 1 });
const client = fc.nat({ max: 3 });
const fate = fc.constantFrom<Fate>("deliver", "deliver", "drop", "double", "delay", "headOnly", "garble");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("commit" as const),
      at,
      fate,
      changes: fc.array(change, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("read" as const), client }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const), client, at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("disconnect" as const), client }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("arrive" as const, "resync" as const), at }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.nat({ max: 12_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("freeze" as const), ms: fc.nat({ max: 40_000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("outage" as const), on: fc.boolean() }) },
);

const clientOptions = fc.record({
  filter: fc.constantFrom(
    orders({}),
    orders({ statuses: ["BOOKED"] }),
    orders({ ids: ["o1", "o3"] }),
    orders({ ids: ["o1", "o2"], statuses: ["BOOKED", "READY"] }),
  ),
  mode: fc.constantFrom("ALL" as const, "LATEST" as const),
  snapshot: fc.boolean(),
  window: fc.constantFrom(1, 2, 5, 1_000),
});

/** Small bounds, so that every one of them is met. */
const options = {
  ringEvents: 6,
  ringBytes: 1_500,
  messageBytes: 400,
  pageEvents: 3,
  snapshotRows: 2,
  catchUpReads: 2,
  turnWork: 2,
  maxAgeMs: 120_000,
};

class World {
  readonly clock: FakeClock;
  readonly journal = new MemoryJournal();
  readonly buses = [new LossyBus(), new LossyBus()] as const;
  readonly instances: readonly [Instance, Instance];
  readonly clients: Client[];

  constructor(seed: number, clients: readonly ConstructorParameters<typeof Client>[1][]) {
    this.clock = new FakeClock(seed);
    const { clock, journal } = this;
    this.buses[0].join(this.buses[1]);
    this.instances = [
      new Instance({ clock, journal, bus: this.buses[0], options }),
      new Instance({ clock, journal, bus: this.buses[1], options }),
    ];
    this.clients = clients.map((each) => new Client(journal, each));
  }

  instance(index: number): Instance {
    return index === 0 ? this.instances[0] : this.instances[1];
  }

  bus(index: number): LossyBus {
    return index === 0 ? this.buses[0] : this.buses[1];
  }

  async take(next: Step): Promise<void> {
    switch (next.do) {
      case "commit":
        if (this.journal.outage) return;
        this.bus(next.at).fate = next.fate;
        this.instance(next.at).commit(...next.changes);
        return;
      case "arrive":
        return this.bus(next.at).arrive();
      case "resync":
        return this.bus(next.at).resync();
      case "outage":
        this.journal.outage = next.on;
        return;
      case "advance":
        return this.clock.advance(next.ms);
      case "freeze":
        return this.clock.freeze(next.ms);
      case "turn":
        return this.clock.turn();
      case "read":
        this.clients[next.client]?.read();
        return;
      case "connect":
        return this.clients[next.client]?.connect(this.instance(next.at));
      case "disconnect":
        return this.clients[next.client]?.disconnect();
    }
  }

  /** Everything works again, and everyone reads until nothing comes any more. */
  async calm(): Promise<void> {
    this.journal.outage = false;
    for (const bus of this.buses) bus.fate = "deliver";
    for (let quiet = 0; quiet < 3; ) {
      for (const [i, each] of this.clients.entries()) each.connect(this.instance(i % 2));
      await this.clock.advance(4_000);
      const news = this.clients.map((each) => each.told.length + each.state.size);
      for (const each of this.clients) while (each.read()) await this.clock.settle();
      const after = this.clients.map((each) => each.told.length + each.state.size);
      quiet = news.every((count, i) => count === after[i]) ? quiet + 1 : 0;
    }
  }
}

describe("in any storm", () => {
  test("every client is told of what matches, once, in order, and ends with what the journal holds", async () => {
    const runs = Number(process.env.LEADLINE_MODEL_RUNS ?? 300);
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(clientOptions, { minLength: 4, maxLength: 4 }),
        fc.array(step, { minLength: 5, maxLength: 80 }),
        async (seed, clients, steps) => {
          const world = new World(seed, clients);
          for (const next of steps) await world.take(next);
          await world.calm();
          for (const [i, each] of world.clients.entries()) {
            expect(each.resets).toBe(0);
            if (clients[i]?.mode === "ALL") expect(each.told).toEqual(each.expected());
            const known = [...each.expectedState()].filter(([id]) => clients[i]?.snapshot || each.state.has(id));
            expect(new Map([...each.state].sort())).toEqual(new Map(known.sort()));
          }
        },
      ),
      { numRuns: runs },
    );
  }, 120_000);
});
