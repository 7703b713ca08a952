import { describe, expect, test } from "vitest";
import { Permits } from "../../src/watch/permits.ts";
import { type Budget, Turns } from "../../src/watch/turns.ts";
import { type Timed, Wheel } from "../../src/watch/wheel.ts";
import { FakeClock } from "./fake-clock.ts";

describe("turns", () => {
  test("go round, and end when the time is up", async () => {
    const clock = new FakeClock();
    const turns = new Turns(clock, 2, 5);
    const done: string[] = [];
    const worker = (name: string, work: number) => {
      let left = work;
      return {
        work(budget: Budget): boolean {
          for (; left > 0 && !budget.spent; left -= 1) {
            done.push(name);
            budget.spend(1);
            clock.freeze(1);
          }
          return left > 0;
        },
      };
    };
    turns.request(worker("a", 5));
    turns.request(worker("b", 3));
    await clock.turn();
    expect(done.join("")).toBe("aabba");
    await clock.settle();
    expect(done.join("")).toBe("aabbabaa");
    expect(clock.pending).toBe(0);
  });
});

describe("a wheel", () => {
  function timed(times: number[], answer?: number): Timed & { times: number[] } {
    const due = (nowMs: number) => {
      times.push(nowMs);
      return answer === undefined ? undefined : nowMs + answer;
    };
    return { slot: undefined, due, times };
  }

  test("calls each at its time or up to a tick later, never earlier", () => {
    const wheel = new Wheel(100);
    const [at250, at300] = [timed([]), timed([])];
    wheel.place(at250, 250);
    wheel.place(at300, 300);
    for (let nowMs = 0; nowMs <= 500; nowMs += 50) wheel.turn(nowMs);
    expect([at250.times, at300.times]).toEqual([[300], [300]]);
  });

  test("calls again at the time that was answered, and at once those that a stall has made late", () => {
    const wheel = new Wheel(100);
    const each = timed([], 1_000);
    wheel.place(each, 100);
    for (const nowMs of [100, 900, 1_100, 60_000, 60_100]) wheel.turn(nowMs);
    expect(each.times).toEqual([100, 1_100, 60_000]);
  });

  test("does not call what was removed or moved", () => {
    const wheel = new Wheel(100);
    const [removed, moved] = [timed([]), timed([])];
    wheel.place(removed, 100);
    wheel.place(moved, 100);
    wheel.remove(removed);
    wheel.remove(removed);
    wheel.place(moved, 400);
    for (let nowMs = 0; nowMs <= 500; nowMs += 100) wheel.turn(nowMs);
    expect([removed.times, moved.times]).toEqual([[], [400]]);
  });
});

describe("permits", () => {
  test("let so many run at a time, the others in their order, and pass over what nobody wants any more", async () => {
    const permits = new Permits(2);
    const started: string[] = [];
    const finish: (() => void)[] = [];
    const task = (name: string) => () => {
      started.push(name);
      return new Promise<string>((resolve) => void finish.push(() => resolve(name)));
    };
    let wanted = true;
    const all = [
      permits.use(() => true, task("a")),
      permits.use(() => true, task("b")),
      permits.use(() => wanted, task("c")),
      permits.use(() => true, task("d")),
    ];
    await Promise.resolve();
    expect([started, permits.waiting]).toEqual([["a", "b"], 2]);
    wanted = false;
    finish[0]?.();
    await all[2];
    expect(started).toEqual(["a", "b", "d"]);
    for (const each of finish) each();
    expect(await Promise.all(all)).toEqual(["a", "b", undefined, "d"]);
  });

  test("are given back by a task that fails", async () => {
    const permits = new Permits(1);
    const failing = async () => {
      throw new Error("no");
    };
    await expect(permits.use(() => true, failing)).rejects.toThrow("no");
    expect(
      await permits.use(
        () => true,
        async () => "next",
      ),
    ).toBe("next");
  });
});
