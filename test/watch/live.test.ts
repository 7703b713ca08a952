import { describe, expect, test } from "vitest";
import { InProcessBus, Wire } from "../../src/bus/in-process.ts";
import { headPosition, Instance, order, orders } from "./instance.ts";
import { RecordingSink } from "./recording-sink.ts";

describe("a live watch", () => {
  test("gets each event once, in order, from its start on", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const watch = await instance.started();
    instance.commit(order("o2"), order("o1", "BOOKED"));
    instance.commit(order("o3"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2", "o1@3", "o3@4"]);
  });

  test("begins with the head it starts from and what clients have to expect", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const watch = await instance.started();
    const { started } = watch.sink.messages[0] ?? {};
    expect(started?.head).toMatch(/^1-/);
    expect(started?.heartbeat?.seconds).toBe(25n);
    expect(started?.maxAge?.seconds).toBe(3600n);
    expect(started?.messageMaxBytes).toBe(4 * 1024 * 1024);
  });

  test("writes nothing before its opener has it", () => {
    const watch = new Instance().open();
    expect(watch.story).toEqual([]);
  });

  test("hears that a subject no longer matches, and nothing of one that never did", async () => {
    const instance = new Instance();
    const watch = await instance.started({ filter: orders({ statuses: ["BOOKED"] }) });
    instance.commit(order("o1"));
    instance.commit(order("o1", "BOOKED"));
    instance.commit(order("o1", "DELIVERED"));
    instance.commit(order("o1", "CANCELLED"));
    instance.commit(order("o2", "CANCELLED"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@2", "-o1@3"]);
  });

  test("keeps events and departures in the order of the journal when they come together", async () => {
    const instance = new Instance();
    const watch = await instance.started({ filter: orders({ statuses: ["BOOKED"] }) });
    instance.commit(order("o1", "BOOKED"), order("o2", "BOOKED"), order("o1", "READY"), order("o2", "READY"));
    instance.commit(order("o1", "BOOKED"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "-o1@3", "-o2@4", "o1@5"]);
    expect(watch.sink.messages.length).toBe(4);
  });

  test("gets events that were committed together in one message", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.commit(...Array.from({ length: 500 }, (_, i) => order(`o${i}`)));
    await instance.clock.settle();
    expect(watch.sink.messages.map((message) => message.events.length)).toEqual([0, 500]);
  });

  test("that names its subjects gets no others", async () => {
    const instance = new Instance();
    const watch = await instance.started({ filter: orders({ ids: ["o2", "o4"] }) });
    instance.commit(order("o1"), order("o2"), order("o3"), order("o4"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2", "o4@4"]);
  });

  test("gets nothing after it was cancelled", async () => {
    const instance = new Instance();
    const [one, other] = [await instance.started(), await instance.started()];
    one.cancel();
    one.cancel();
    instance.commit(order("o1"));
    await instance.clock.settle();
    expect(one.story).toEqual(["started"]);
    expect(other.story).toEqual(["started", "o1@1"]);
    expect(instance.hubs.stats().watchers).toBe(1);
  });

  test("gets messages no larger than the bound, one event at least", async () => {
    const instance = new Instance({ options: { messageBytes: 2_000 } });
    const watch = await instance.started();
    const padded = (id: string, padding: number) => ({ order: id, status: "RECEIVED", padding });
    instance.commit(...[900, 900, 900, 5_000, 10].map((padding, i) => padded(`o${i}`, padding)));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o0@1", "o1@2", "o2@3", "o3@4", "o4@5"]);
    const sizes = watch.sink.written.map((bytes) => bytes.length);
    expect(sizes.filter((size) => size > 2_000)).toHaveLength(1);
  });
});

describe("watchers of the same events", () => {
  test("share the bytes: in protobuf those that are stored", async () => {
    const instance = new Instance();
    const watches = await Promise.all([
      instance.started(),
      instance.started({ filter: orders({ ids: ["o1"] }) }),
      instance.started({ filter: orders({ statuses: ["BOOKED"] }) }),
    ]);
    instance.commit(order("o1", "BOOKED"));
    await instance.clock.settle();
    const stored = instance.journal.all("t1")[0]?.payload;
    expect(stored).toBeDefined();
    for (const { sink } of watches) expect(sink.written.at(-1)).toBe(stored);
  });

  test("share the bytes of several events, in each codec", async () => {
    const instance = new Instance();
    const open = (codec: "proto" | "json", ids: string[]) =>
      instance.started({ filter: orders({ ids }) }, new RecordingSink({ codec }));
    const watches = [
      await open("proto", ["o1", "o2"]),
      await open("proto", ["o1", "o2", "o9"]),
      await open("json", ["o1", "o2"]),
      await open("json", ["o1", "o2", "o9"]),
    ];
    instance.commit(order("o1"), order("o5"), order("o2"));
    await instance.clock.settle();
    const [proto, sameProto, json, sameJson] = watches.map(({ sink }) => sink.written.at(-1));
    expect(proto).toBe(sameProto);
    expect(json).toBe(sameJson);
    for (const watch of watches) expect(watch.story).toEqual(["started", "o1@1", "o2@3"]);
  });
});

describe("two instances", () => {
  test("tell each other", async () => {
    const first = new Instance({ bus: new InProcessBus() });
    const wire = new Wire();
    const { journal, clock } = first;
    const one = new Instance({ journal, clock, bus: new InProcessBus(wire) });
    const two = new Instance({ journal, clock, bus: new InProcessBus(wire) });
    const watch = await two.started();
    one.commit(order("o1"));
    await clock.settle();
    two.commit(order("o2"));
    await clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
    expect(journal.reads).toEqual(["heads"]);
  });

  test("find what a lost hint held with the next one", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.journal.commit("t1", order("o1"), order("o2"));
    instance.commit(order("o3"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "o3@3"]);
  });

  test("find what the last lost hint held within the time between two comparisons", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    instance.journal.commit("t1", order("o1"));
    await instance.clock.advance(2_900);
    expect(watch.story).toEqual(["started"]);
    await instance.clock.advance(200);
    expect(watch.story).toEqual(["started", "o1@1"]);
  });

  test("take doubled, late and reordered hints as one", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    const extensions = ["o1", "o2", "o3"].map((id) => instance.journal.commit("t1", order(id)));
    for (const i of [2, 0, 0, 1, 2, 1]) {
      const extension = extensions[i];
      if (extension) instance.hubs.extend(extension);
      if (i === 0) await instance.clock.settle();
    }
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "o3@3"]);
  });

  test("take from an extension what is new of it", async () => {
    const instance = new Instance();
    const watch = await instance.started();
    const beginning = instance.journal.head("t1");
    const extensions = ["o1", "o2", "o3"].map((id) => instance.journal.commit("t1", order(id)));
    const whole = { tenant: "t1", previous: beginning, events: extensions.flatMap(({ events }) => events) };
    if (extensions[0]) instance.hubs.extend(extensions[0]);
    instance.hubs.extend(whole);
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "o3@3"]);
    expect(instance.journal.reads).toEqual(["heads"]);
  });

  test("read a hole once, however many watch", async () => {
    const instance = new Instance();
    const watches = [await instance.started(), await instance.started(), await instance.started()];
    instance.journal.commit("t1", order("o1"));
    instance.commit(order("o2"));
    await instance.clock.settle();
    // At revision 0 the journal's own id is what shows that the events follow.
    expect(instance.journal.reads).toEqual(["heads", "events", "heads"]);
    for (const watch of watches) expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
  });
});

describe("what is said meanwhile", () => {
  test("is not lost between listening and the first head", async () => {
    const instance = new Instance();
    const release = instance.journal.hold();
    const watch = await instance.started({ start: { from: "position", position: headPosition(instance.journal) } });
    instance.commit(order("o1"));
    instance.commit(order("o2"));
    expect(watch.story).toEqual([]);
    release();
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
  });

  test("an extension that does not follow the head is not believed", async () => {
    const instance = new Instance();
    instance.commit(order("o1"));
    const watch = await instance.started();
    const [event] = instance.journal.all("t1");
    if (!event) throw new Error("no event");
    const forged = { ...event, revision: 2n, eventId: "zzzzzzzzzzzzz", subjectId: "forged" };
    instance.hubs.extend({ tenant: "t1", previous: { revision: 1n, eventId: "yyyyyyyyyyyyy" }, events: [forged] });
    instance.hubs.extend({ tenant: "t1", previous: { revision: 7n, eventId: "yyyyyyyyyyyyy" }, events: [forged] });
    await instance.clock.settle();
    instance.commit(order("o2"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2"]);
  });

  test("a tenant hears nothing of another's", async () => {
    const instance = new Instance();
    const [one, other] = [await instance.started(), await instance.started({ tenant: "t2" })];
    instance.commitTo("t2", order("o1"));
    await instance.clock.settle();
    expect(one.story).toEqual(["started"]);
    expect(other.story).toEqual(["started", "o1@1"]);
  });
});
