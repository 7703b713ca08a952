import { describe, expect, test } from "vitest";
import { headPosition, Instance, order, orders } from "./instance.ts";
import { type Change, MemoryJournal } from "./memory-journal.ts";
import { RecordingSink } from "./recording-sink.ts";

const latest = { mode: "LATEST" } as const;

describe("a watch of the latest states", () => {
  test("gets only the last of what comes together", async () => {
    const instance = new Instance();
    const watch = await instance.started(latest);
    instance.commit(order("o1"), order("o2"), order("o1", "BOOKED"), order("o1", "READY"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2", "o1@4"]);
  });

  test("gets only the last of what it missed, out of the ring", async () => {
    const instance = new Instance();
    const watch = await instance.started(latest, new RecordingSink({ window: 1 }));
    for (const id of ["o1", "o2", "o1", "o3", "o1"]) {
      instance.commit(order(id));
      await instance.clock.settle();
    }
    watch.read();
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2", "o3@4", "o1@5"]);
    expect(instance.journal.reads).toEqual(["heads"]);
  });

  test("gets only the last of what it missed, out of the journal in pages", async () => {
    const instance = new Instance({ options: { ringEvents: 2, pageEvents: 2 } });
    const watch = await instance.started(latest, new RecordingSink({ window: 1 }));
    for (const id of ["o1", "o2", "o3", "o4", "o2", "o5", "o1", "o6", "o7"]) {
      instance.commit(order(id));
      await instance.clock.settle();
    }
    watch.sink.window = 100;
    watch.read();
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o3@3", "o4@4", "o2@5", "o5@6", "o1@7", "o6@8", "o7@9"]);
  });

  test("hears that a subject left, whatever it became in between", async () => {
    const instance = new Instance();
    const filter = orders({ statuses: ["BOOKED"] });
    const watch = await instance.started({ ...latest, filter });
    instance.commit(order("o1", "BOOKED"), order("o2", "BOOKED"));
    await instance.clock.settle();
    instance.commit(order("o1", "READY"), order("o1", "CANCELLED"), order("o2", "READY"), order("o2", "BOOKED"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "-o1@3", "o2@6"]);
  });

  test("hears that a subject left when it stopped reading between the two", async () => {
    const instance = new Instance();
    const filter = orders({ statuses: ["BOOKED"] });
    const watch = await instance.started({ ...latest, filter }, new RecordingSink({ window: 1 }));
    watch.read();
    instance.commit(order("o1", "BOOKED"));
    await instance.clock.settle();
    instance.commit(order("o1", "READY"), order("o2", "BOOKED"), order("o1", "CANCELLED"));
    for (let i = 0; i < 5; i += 1) {
      watch.read();
      await instance.clock.settle();
    }
    expect(watch.story).toEqual(["started", "o1@1", "-o1@2", "o2@3"]);
  });

  test("hears that a subject left while it was far behind", async () => {
    const instance = new Instance({ options: { ringEvents: 2 } });
    const filter = orders({ statuses: ["BOOKED"] });
    const watch = await instance.started({ ...latest, filter }, new RecordingSink({ window: 2 }));
    instance.commit(order("o1", "BOOKED"));
    await instance.clock.settle();
    for (const status of ["READY", "CANCELLED"]) instance.commit(order("o1", status));
    for (const id of ["o2", "o3", "o4"]) {
      instance.commit(order(id, "BOOKED"));
      await instance.clock.settle();
    }
    watch.sink.window = 100;
    watch.read();
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "-o1@3", "o2@4", "o3@5", "o4@6"]);
  });

  test("that stopped in the middle of a catch-up hears what had left, on an instance that holds all of it", async () => {
    const journal = new MemoryJournal();
    const filter = orders({ statuses: ["BOOKED"] });
    const [far, near] = [new Instance({ journal, options: { ringEvents: 1 } }), new Instance({ journal })];
    await near.started();
    const watch = await far.started({ ...latest, filter }, new RecordingSink({ window: 1 }));
    const commit = async (...changes: Change[]) => {
      const extension = journal.commit("t1", ...changes);
      for (const instance of [far, near]) instance.hubs.extend(extension);
      for (const instance of [far, near]) await instance.clock.settle();
    };
    await commit(order("gone", "BOOKED"));
    watch.read();
    await far.clock.settle();
    await commit(order("gone", "READY"));
    await commit(order("o1", "BOOKED"));
    await commit(order("gone", "CANCELLED"));
    await commit(order("o2", "BOOKED"));
    watch.read();
    await far.clock.settle();
    // The next thing it would have been told is that `gone` left.
    expect(watch.story).toEqual(["started", "gone@1", "o1@3"]);
    watch.cancel();
    const position = watch.sink.messages.at(-1)?.events.at(-1)?.position ?? "";
    const resumed = await near.started({ ...latest, filter, start: { from: "position", position } });
    expect(resumed.story).toEqual(["started", "-gone@4", "o2@5"]);
  });

  test("that stopped so hears it on an instance that is late, too", async () => {
    const journal = new MemoryJournal();
    const filter = orders({ statuses: ["BOOKED"] });
    const late = new Instance({ journal });
    await late.started();
    late.commit(order("gone", "BOOKED"), order("gone", "READY"), order("o1", "BOOKED"));
    await late.clock.settle();
    // Told of o1@3 by an instance that knew of 4, and passed over 2 because of it.
    const start = { from: "position", position: headPosition(journal) } as const;
    journal.commit("t1", order("gone", "CANCELLED"));
    const watch = await late.started({ ...latest, filter, start });
    expect(watch.story).toEqual(["started", "-gone@4"]);
  });

  test("that reads of a change that is not known here yet hears that its subject left", async () => {
    const instance = new Instance({ options: { ringEvents: 1 } });
    const filter = orders({ statuses: ["BOOKED"] });
    const watch = await instance.started({ ...latest, filter }, new RecordingSink({ window: 2 }));
    for (const [id, status] of [
      ["gone", "BOOKED"],
      ["gone", "READY"],
      ["o1", "READY"],
      ["o2", "READY"],
    ] as const) {
      instance.commit(order(id, status));
      await instance.clock.settle();
    }
    const unheard = instance.journal.commit("t1", order("gone", "CANCELLED"));
    watch.sink.window = 100;
    watch.read();
    await instance.clock.settle();
    expect(watch.story.slice(0, 2)).toEqual(["started", "gone@1"]);
    instance.hubs.extend(unheard);
    await instance.clock.advance(600);
    expect(watch.story.filter((word) => word.startsWith("-gone"))).toEqual(["-gone@5"]);
  });

  test("is reset when its position is of another history", async () => {
    const instance = new Instance({ options: { ringEvents: 1 } });
    await instance.started();
    for (const id of ["o1", "o2", "o3"]) instance.commit(order(id));
    await instance.clock.settle();
    const start = { from: "position", position: "1-zzzzzzzzzzzzz" } as const;
    const watch = await instance.started({ ...latest, start });
    expect(watch.story).toEqual(["started", "reset"]);
  });
});
