import { describe, expect, test } from "vitest";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import type { WatchSpec } from "../../src/watch/spec.ts";
import { headPosition, Instance, order, orders, type Watch } from "./instance.ts";
import { MemoryJournal } from "./memory-journal.ts";

const at = (position: string): Partial<WatchSpec> => ({ start: { from: "position", position } });

function journalOf(count: number): { journal: MemoryJournal; positions: string[] } {
  const journal = new MemoryJournal();
  const positions = [headPosition(journal)];
  for (let i = 1; i <= count; i += 1) {
    journal.commit("t1", order(`o${i}`));
    positions.push(headPosition(journal));
  }
  return { journal, positions };
}

function resetOf(watch: Watch): ResetReason | undefined {
  expect(watch.story).toEqual(["started", "reset"]);
  expect(watch.sink.outcome).toEqual({ how: "reset" });
  return watch.sink.messages.at(-1)?.reset?.reason;
}

describe("a watch that resumes", () => {
  test("continues after its position, from the journal and then live", async () => {
    const { journal, positions } = journalOf(5);
    const instance = new Instance({ journal });
    const watch = await instance.started(at(positions[2] ?? ""));
    instance.commit(order("o6"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o3@3", "o4@4", "o5@5", "o6@6"]);
  });

  test("continues from the very beginning", async () => {
    const { journal, positions } = journalOf(2);
    const watch = await new Instance({ journal }).started(at(positions[0] ?? ""));
    expect(watch.story).toEqual(["started", "o1@1", "o2@2"]);
  });

  test("reads nothing when it was at the head, and nothing when the ring holds what it missed", async () => {
    const instance = new Instance();
    await instance.started();
    const beginning = headPosition(instance.journal);
    instance.commit(order("o1"));
    await instance.clock.settle();
    const middle = headPosition(instance.journal);
    instance.commit(order("o2"));
    await instance.clock.settle();
    const reads = instance.journal.reads.length;
    const watches = [
      await instance.started(at(beginning)),
      await instance.started(at(middle)),
      await instance.started(at(headPosition(instance.journal))),
    ];
    expect(watches.map((watch) => watch.story.slice(1))).toEqual([["o1@1", "o2@2"], ["o2@2"], []]);
    expect(instance.journal.reads).toHaveLength(reads);
  });

  test("may do so with another filter", async () => {
    const { journal, positions } = journalOf(4);
    const watch = await new Instance({ journal }).started({
      ...at(positions[1] ?? ""),
      filter: orders({ ids: ["o1", "o3"] }),
    });
    expect(watch.story).toEqual(["started", "o3@3"]);
  });

  test("waits for the head to be read when its position is from an instance that knows more", async () => {
    const instance = new Instance();
    const early = await instance.started();
    instance.journal.commit("t1", order("o1"), order("o2"));
    const watch = await instance.started(at(headPosition(instance.journal)));
    instance.commit(order("o3"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o3@3"]);
    expect(early.story).toEqual(["started", "o1@1", "o2@2", "o3@3"]);
  });

  test("reads long histories in pages, and shares pages with those at its side", async () => {
    const { journal, positions } = journalOf(25);
    const instance = new Instance({ journal, options: { pageEvents: 10, stretchEvents: 10 } });
    const watches = Array.from({ length: 5 }, () => instance.open(at(positions[0] ?? "")));
    await instance.clock.settle();
    const all = Array.from({ length: 25 }, (_, i) => `o${i + 1}@${i + 1}`);
    for (const watch of watches) expect(watch.story).toEqual(["started", ...all]);
    // The first, which nothing but the journal's id shows to follow, is read event by event.
    expect(journal.reads).toEqual(["heads", "events", "heads", "stretch", "stretch"]);
  });

  test("gets over events that are each larger than a page", async () => {
    const journal = new MemoryJournal();
    const beginning = headPosition(journal);
    for (let i = 1; i <= 4; i += 1) journal.commit("t1", { order: `o${i}`, status: "RECEIVED", padding: 5_000 });
    const watch = await new Instance({ journal, options: { messageBytes: 1_000 } }).started(at(beginning));
    expect(watch.story).toEqual(["started", "o1@1", "o2@2", "o3@3", "o4@4"]);
  });

  test("is not brought beyond what live watches have had", async () => {
    const { journal, positions } = journalOf(3);
    const instance = new Instance({ journal });
    const early = await instance.started();
    journal.commit("t1", order("o4"));
    const watch = await instance.started(at(positions[1] ?? ""));
    expect(watch.story).toEqual(["started", "o2@2", "o3@3"]);
    instance.commit(order("o5"));
    await instance.clock.settle();
    expect(watch.story).toEqual(["started", "o2@2", "o3@3", "o4@4", "o5@5"]);
    expect(early.story).toEqual(["started", "o4@4", "o5@5"]);
  });

  test("tries again when the database is away for a moment", async () => {
    const { journal, positions } = journalOf(3);
    const instance = new Instance({ journal });
    await instance.started();
    journal.outage = true;
    const watch = await instance.started(at(positions[1] ?? ""));
    expect(watch.story).toEqual(["started"]);
    journal.outage = false;
    await instance.clock.advance(600);
    expect(watch.story).toEqual(["started", "o2@2", "o3@3"]);
  });
});

describe("a watch that cannot resume is told why", () => {
  test("another event stands at the revision", async () => {
    const { journal, positions } = journalOf(5);
    journal.restore("t1", 2n);
    journal.commit("t1", order("x3"), order("x4"), order("x5"), order("x6"));
    const instance = new Instance({ journal });
    expect(resetOf(await instance.started(at(positions[3] ?? "")))).toBe(ResetReason.HISTORY_DIVERGED);
    expect(resetOf(await instance.started(at(positions[5] ?? "")))).toBe(ResetReason.HISTORY_DIVERGED);
    const survivor = await instance.started(at(positions[2] ?? ""));
    expect(survivor.story).toEqual(["started", "x3@3", "x4@4", "x5@5", "x6@6"]);
  });

  test("another event stands at the revision, which the ring holds", async () => {
    const instance = new Instance();
    await instance.started();
    instance.commit(order("o1"), order("o2"));
    await instance.clock.settle();
    const reads = instance.journal.reads.length;
    expect(resetOf(await instance.started(at("1-zzzzzzzzzzzzz")))).toBe(ResetReason.HISTORY_DIVERGED);
    expect(resetOf(await instance.started(at("2-zzzzzzzzzzzzz")))).toBe(ResetReason.HISTORY_DIVERGED);
    expect(instance.journal.reads).toHaveLength(reads);
  });

  test("the revision lies beyond the head", async () => {
    const { journal, positions } = journalOf(5);
    journal.restore("t1", 4n);
    const watch = await new Instance({ journal }).started(at(positions[5] ?? ""));
    expect(resetOf(watch)).toBe(ResetReason.POSITION_AHEAD);
    expect(watch.sink.messages.at(-1)?.reset?.head).toBe(positions[4]);
  });

  test("the revision lies below the floor; the floor itself does not", async () => {
    const { journal, positions } = journalOf(5);
    journal.raiseFloor("t1", 3n);
    const instance = new Instance({ journal });
    expect(resetOf(await instance.started(at(positions[2] ?? "")))).toBe(ResetReason.POSITION_TOO_OLD);
    expect(resetOf(await instance.started(at(positions[0] ?? "")))).toBe(ResetReason.POSITION_TOO_OLD);
    expect((await instance.started(at(positions[3] ?? ""))).story).toEqual(["started", "o4@4", "o5@5"]);
  });

  test("the floor rises past it while it is behind", async () => {
    const { journal, positions } = journalOf(5);
    const instance = new Instance({ journal });
    await instance.started();
    journal.raiseFloor("t1", 4n);
    expect(resetOf(await instance.started(at(positions[2] ?? "")))).toBe(ResetReason.POSITION_TOO_OLD);
  });

  test("the position is of another journal", async () => {
    const watch = await new Instance().started(at("0-zzzzzzzzzzzzz"));
    expect(resetOf(watch)).toBe(ResetReason.OTHER_JOURNAL);
  });

  test("and is refused at once when the position cannot be read", () => {
    expect(() => new Instance().open(at("yesterday"))).toThrow(Refusal);
  });
});
