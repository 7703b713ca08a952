import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Claims, DeficitRoundRobin, equalClaims } from "../../src/domain/deficit-round-robin.ts";

interface Item {
  readonly tenant: string;
  readonly number: number;
  readonly cost: number;
}

const any = () => true;
const costOf = ({ cost }: Item) => cost;
const weighted = (weights: Readonly<Record<string, number>>, reserve: readonly string[] = []): Claims => ({
  weightOf: (tenant) => weights[tenant] ?? 1,
  hasReserve: (tenant) => reserve.includes(tenant),
});

function queueOf(claims: Claims, quantum = 1): DeficitRoundRobin<Item> {
  return new DeficitRoundRobin(claims, quantum, costOf);
}

/** Takes what there is, in order: `a b a`. */
function drained(queue: DeficitRoundRobin<Item>, most = Number.POSITIVE_INFINITY): string {
  const tenants: string[] = [];
  for (let item = queue.take(any); item && tenants.push(item.tenant) < most; ) item = queue.take(any);
  return tenants.join("");
}

function fill(queue: DeficitRoundRobin<Item>, tenants: string, cost = 1): void {
  for (const [number, tenant] of [...tenants].entries()) queue.push(tenant, { tenant, number, cost });
}

/** Tenants with weights, some with a reserve, and the costs of what each has waiting. */
const backlog = fc.record({
  quantum: fc.integer({ min: 1, max: 20 }),
  tenants: fc.array(
    fc.record({
      weight: fc.constantFrom(1, 2, 4),
      reserve: fc.boolean(),
      costs: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }),
    }),
    { minLength: 1, maxLength: 8 },
  ),
});

describe("while every tenant has something waiting", () => {
  test("what each has taken stays within a quantum and an item of what its weight says, and keeps its order", () => {
    fc.assert(
      fc.property(backlog, fc.integer({ min: 1, max: 300 }), ({ quantum, tenants }, steps) => {
        const claims: Claims = {
          weightOf: (tenant) => tenants[Number(tenant)]?.weight ?? 1,
          hasReserve: (tenant) => tenants[Number(tenant)]?.reserve ?? false,
        };
        const queue = queueOf(claims, quantum);
        const counts = tenants.map(() => 0);
        const push = (place: number) => {
          const costs = tenants[place]?.costs ?? [];
          const number = counts[place] ?? 0;
          queue.push(String(place), { tenant: String(place), number, cost: costs[number % costs.length] ?? 1 });
          counts[place] = number + 1;
        };
        for (const place of tenants.keys()) for (let i = 0; i < 2; i++) push(place);
        const largest = tenants.map(({ weight, costs }) => Math.max(...costs) / weight);
        const taken = tenants.map(() => 0);
        const next = tenants.map(() => 0);
        for (let step = 0; step < steps; step++) {
          const item = queue.take(any);
          expect(item).toBeDefined();
          const place = Number(item?.tenant);
          expect(item?.number).toBe(next[place]);
          next[place] = (next[place] ?? 0) + 1;
          taken[place] = (taken[place] ?? 0) + (item?.cost ?? 0);
          push(place);
          const rounds = taken.map((cost, i) => cost / (tenants[i]?.weight ?? 1));
          const beyond = rounds.flatMap((one, i) =>
            rounds.map((other, j) => one - other - quantum - (largest[i] ?? 0) - (largest[j] ?? 0)),
          );
          expect(Math.max(...beyond)).toBeLessThanOrEqual(1e-9);
        }
      }),
    );
  });
});

describe("whatever comes and goes", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), tenant: fc.integer({ min: 0, max: 5 }), cost: fc.nat(9) }),
    fc.record({ kind: fc.constant("take" as const) }),
    fc.record({ kind: fc.constant("takeFrom" as const), tenant: fc.integer({ min: 0, max: 5 }) }),
    fc.record({ kind: fc.constant("back" as const), first: fc.boolean() }),
    fc.record({
      kind: fc.constant("charge" as const),
      tenant: fc.integer({ min: 0, max: 5 }),
      cost: fc.integer({ min: -20, max: 20 }),
    }),
  );
  const claims: Claims = { weightOf: (t) => [1, 2, 4][Number(t) % 3] ?? 1, hasReserve: (t) => Number(t) % 3 === 2 };

  test("each item is taken once, each tenant's in order, and nothing is left", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = queueOf(claims, 3);
        const [pushed, taken] = [new Map<string, number>(), new Map<string, number>()];
        let last: Item[] = [];
        const note = (item: Item | undefined) => {
          if (!item) return;
          expect(item.number).toBe(taken.get(item.tenant) ?? 0);
          taken.set(item.tenant, item.number + 1);
          last.push(item);
        };
        for (const s of steps) {
          if (s.kind === "push") {
            const [tenant, number] = [String(s.tenant), pushed.get(String(s.tenant)) ?? 0];
            queue.push(tenant, { tenant, number, cost: s.cost + 1 });
            pushed.set(tenant, number + 1);
          } else if (s.kind === "take") note(queue.take(any));
          else if (s.kind === "takeFrom") note(queue.takeFrom(String(s.tenant), any));
          else if (s.kind === "charge") queue.charge(String(s.tenant), s.cost);
          else {
            const groups = Map.groupBy(last, ({ tenant }) => tenant);
            for (const [tenant, items] of groups) taken.set(tenant, items[0]?.number ?? 0);
            if (s.first) queue.unshiftFirst(groups);
            else for (const [tenant, items] of groups) queue.unshift(tenant, items);
            last = [];
          }
        }
        const size = queue.size;
        let rest = 0;
        for (let item = queue.take(any); item; item = queue.take(any)) {
          note(item);
          rest += 1;
        }
        expect([rest, queue.size]).toEqual([size, 0]);
        expect(taken).toEqual(new Map([...pushed].filter(([tenant]) => taken.has(tenant))));
        expect([...pushed.keys()].every((tenant) => taken.has(tenant))).toBe(true);
      }),
    );
  });

  test("what was put back first is what is taken next", () => {
    const item = fc.record({ tenant: fc.constantFrom("0", "1", "2"), cost: fc.integer({ min: 1, max: 9 }) });
    fc.assert(
      fc.property(fc.array(item, { minLength: 1 }), fc.array(item), fc.nat(30), (before, since, count) => {
        const queue = queueOf(claims, 3);
        for (const [number, one] of before.entries()) queue.push(one.tenant, { ...one, number });
        const batch = Array.from({ length: Math.min(count, before.length) }, () => queue.take(any)).filter((i) => !!i);
        for (const one of since) queue.push(one.tenant, { ...one, number: -1 });
        queue.unshiftFirst(Map.groupBy(batch, ({ tenant }) => tenant));
        const again = batch.map(() => queue.take(any));
        expect(new Set(again)).toEqual(new Set(batch));
      }),
    );
  });
});

test("a tenant saves nothing up while it has nothing waiting", () => {
  const queue = queueOf(equalClaims, 2);
  fill(queue, "abbbbbbbb");
  expect(drained(queue, 5)).toBe("abbbb");
  fill(queue, "aaaaaa");
  expect(drained(queue, 8)).toBe("aabbaabb");
});

test("nothing is owed once nothing waits", () => {
  const queue = queueOf(equalClaims);
  fill(queue, "a", 1_000);
  expect(drained(queue)).toBe("a");
  fill(queue, "aabb");
  expect(drained(queue)).toBe("abab");
});

test("what an item costs beyond its share is owed, also by a tenant that has nothing waiting meanwhile", () => {
  const queue = queueOf(equalClaims);
  fill(queue, "a", 4);
  fill(queue, "bbbbbbbb");
  expect(drained(queue, 3)).toBe("abb");
  fill(queue, "a");
  expect(drained(queue)).toBe("bbabbbb");
});

test("a cost is corrected when it is known", () => {
  const queue = queueOf(equalClaims);
  fill(queue, "aabbbbbb");
  expect(queue.take(any)?.tenant).toBe("a");
  queue.charge("a", 3);
  expect(drained(queue)).toBe("bbbbabb");
});

test("an item that does not fit stays the next", () => {
  const queue = queueOf(equalClaims);
  fill(queue, "ab");
  expect(queue.take(() => false)).toBeUndefined();
  expect(drained(queue)).toBe("ab");
});

test("a tenant with a reserve goes first for its share of a round, and no further", () => {
  const queue = queueOf(weighted({ r: 4 }, ["r"]));
  fill(queue, "abcabcabcabcabc");
  expect(drained(queue, 2)).toBe("ab");
  fill(queue, "r");
  expect(drained(queue, 1)).toBe("r");
  fill(queue, "rrrrr"); // three are left of the round's four
  expect(drained(queue, 12)).toBe("rrrcarrbcabc");
});

test("tenants with a reserve starve nobody, however often they come back", () => {
  const tenants = Array.from({ length: 20 }, (_, i) => `r${i}`);
  const queue = queueOf(weighted(Object.fromEntries(tenants.map((tenant) => [tenant, 4])), tenants));
  const push = (tenant: string) => queue.push(tenant, { tenant, number: 0, cost: 1 });
  for (const tenant of ["low", "low", ...tenants]) push(tenant);
  let sinceLow = 0;
  for (let i = 0; i < 2_000; i++) {
    const { tenant } = queue.take(any) ?? { tenant: "" };
    push(tenant);
    sinceLow = tenant === "low" ? 0 : sinceLow + 1;
    expect(sinceLow).toBeLessThanOrEqual(20 * 4 * 2);
  }
});

test("a weight that changes counts from the next round on", () => {
  let weight = 1;
  const queue = queueOf({ weightOf: (tenant) => (tenant === "a" ? weight : 1), hasReserve: () => false });
  fill(queue, "aaaaaaaaaabbbbbb");
  expect(drained(queue, 4)).toBe("abab");
  weight = 4;
  expect(drained(queue, 10)).toBe("aaaabaaaab");
});

test("a claim is asked once for an item at most, however many tenants wait", () => {
  let asked = 0;
  const queue = queueOf({ weightOf: () => ++asked && 1, hasReserve: () => false });
  const tenants = Array.from({ length: 5_000 }, (_, i) => `t${i}`);
  for (const tenant of tenants)
    for (let number = 0; number < 2; number++) queue.push(tenant, { tenant, number, cost: 1 });
  for (let taken = 1; queue.take(any); taken++) expect(asked).toBeLessThanOrEqual(taken + 1);
  expect(asked).toBe(10_000);
});
