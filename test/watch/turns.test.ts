import { describe, expect, test } from "vitest";
import { type Claims, equalClaims } from "../../src/domain/deficit-round-robin.ts";
import { Permits } from "../../src/watch/permits.ts";
import { type Budget, Turns } from "../../src/watch/turns.ts";
import { type Timed, Wheel } from "../../src/watch/wheel.ts";
import { FakeClock } from "./fake-clock.ts";

/** "heavy" has four times the weight of others, "first" twice and a reserve. */
const favoured: Claims = {
  weightOf: (tenant) => ({ heavy: 4, first: 2 })[tenant] ?? 1,
  hasReserve: (tenant) => tenant === "first",
};

describe("turns", () => {
  test("go round, and end when the time is up", async () => {
    const clock = new FakeClock();
    const turns = new Turns(clock, 2, 5, equalClaims);
    const done: string[] = [];
    const worker = (name: string, work: number) => {
      let left = work;
      return {
        tenant: name,
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
    expect(done.join("")).toBe("aabbaaab");
    expect(clock.pending).toBe(0);
  });

  test("are as long as a tenant's weight says, and come first for one with a reserve", async () => {
    const clock = new FakeClock();
    const turns = new Turns(clock, 2, 1_000, favoured);
    const done: string[] = [];
    const worker = (tenant: string, work: number) => {
      let left = work;
      return {
        tenant,
        work(budget: Budget): boolean {
          for (; left > 0 && !budget.spent; left -= 1) {
            done.push(tenant);
            budget.spend(1);
          }
          return left > 0;
        },
      };
    };
    for (const one of [worker("a", 5), worker("heavy", 9), worker("first", 5)]) turns.request(one);
    await clock.settle();
    const short = done.map((tenant) => tenant[0]).join("");
    expect(short).toBe("ffffaahhhhhhhhfaaha");
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
  const permits = (max: number, claims = equalClaims) => new Permits(max, 10, claims);
  const turn = (tenant: string, items = 10, wanted = () => true) => ({ tenant, items, wanted });
  const none = () => 0;

  test("let so many run at a time, a tenant's others in their order, and pass over what nobody wants any more", async () => {
    const two = permits(2);
    const started: string[] = [];
    const finish: (() => void)[] = [];
    const task = (name: string) => () => {
      started.push(name);
      return new Promise<string>((resolve) => void finish.push(() => resolve(name)));
    };
    let wanted = true;
    const all = [
      two.use(turn("t"), task("a"), none),
      two.use(turn("t"), task("b"), none),
      two.use(
        turn("t", 10, () => wanted),
        task("c"),
        none,
      ),
      two.use(turn("t"), task("d"), none),
    ];
    await Promise.resolve();
    expect([started, two.waiting]).toEqual([["a", "b"], 2]);
    wanted = false;
    finish[0]?.();
    await all[2];
    expect(started).toEqual(["a", "b", "d"]);
    for (const each of finish) each();
    expect(await Promise.all(all)).toEqual(["a", "b", undefined, "d"]);
  });

  test("are given back by a task that fails", async () => {
    const one = permits(1);
    const failing = async () => {
      throw new Error("no");
    };
    await expect(one.use(turn("t"), failing, none)).rejects.toThrow("no");
    expect(await one.use(turn("t"), async () => "next", none)).toBe("next");
  });

  /** Readers that each have a next page at once: the order in which tenants read, one at a time. */
  async function read(one: Permits, tenants: readonly string[], size: (tenant: string) => number, reads: number) {
    const order: string[] = [];
    const reader = async (tenant: string) => {
      while (order.length < reads) {
        await one.use(
          turn(tenant, 10, () => order.length < reads),
          async () => void order.push(tenant),
          () => size(tenant),
        );
      }
    };
    await Promise.all(tenants.map(reader));
    return order;
  }
  const sum = (order: readonly string[], tenant: string) => order.filter((one) => one === tenant).length;

  test("go to tenants by their weights, however many readers each has", async () => {
    const readers = [...Array.from({ length: 20 }, () => "crowd"), "a", "a", "heavy", "heavy"];
    const order = await read(permits(1, favoured), readers, () => 10, 600);
    expect(order).toHaveLength(600);
    for (const [tenant, part] of Object.entries({ crowd: 1 / 6, a: 1 / 6, heavy: 4 / 6 })) {
      expect(Math.abs(sum(order, tenant) - part * 600)).toBeLessThanOrEqual(5);
    }
  });

  test("cost what was read, and not what could have been", async () => {
    const order = await read(permits(1), ["long", "long", "short", "short"], (t) => (t === "long" ? 10 : 2), 600);
    expect(Math.abs(sum(order, "short") - 5 * sum(order, "long"))).toBeLessThanOrEqual(15);
  });

  test("starve nobody", async () => {
    const readers = [...Array.from({ length: 20 }, (_, i) => `crowd${i}`), "first", "first", "first", "last"];
    const order = await read(permits(2, favoured), readers, () => 10, 480);
    for (const tenant of new Set(readers)) expect(sum(order, tenant)).toBeGreaterThanOrEqual(15);
  });
});
