import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Claims } from "../../src/domain/deficit-round-robin.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { CommandQueue, type Pending } from "../../src/journal/command-queue.ts";
import { ask } from "./commands.ts";

function pending(tenant: string, order: string, bytes = 10): Pending {
  const ignored = () => undefined;
  return { command: { ...ask({ tenant, order }), bytes }, since: 0, settle: ignored, fail: ignored } as Pending;
}

function namesOf(commands: readonly Pending[]): string[] {
  return commands.map(({ command }) => command.subjects[0]?.id ?? "");
}

function filled(...commands: readonly (readonly [tenant: string, order: string])[]): CommandQueue {
  const queue = new CommandQueue();
  for (const [tenant, order] of commands) queue.push(pending(tenant, order));
  return queue;
}

test("a batch takes from all tenants in turn, and each tenant's commands in their order", () => {
  const queue = filled(["a", "a1"], ["a", "a2"], ["a", "a3"], ["b", "b1"]);
  expect(namesOf(queue.take(3))).toEqual(["a1", "b1", "a2"]);
  expect(namesOf(queue.take(3))).toEqual(["a3"]);
});

test("what is put back first is taken first, before what came since and before other tenants", () => {
  const queue = filled(["a", "a1"], ["b", "b1"], ["b", "b2"]);
  const batch = queue.take(10);
  queue.push(pending("c", "c1"));
  queue.push(pending("a", "a2"));
  queue.unshiftFirst(batch);
  expect(namesOf(queue.take(2))).toEqual(["a1", "b1"]);
  expect(namesOf(queue.take(10)).sort()).toEqual(["a2", "b2", "c1"]);
});

test("what is put back for its lock comes before its tenant's later commands, and does not keep others waiting", () => {
  const queue = filled(["a", "a1"]);
  const batch = queue.take(10);
  queue.push(pending("b", "b1"));
  queue.push(pending("a", "a2"));
  queue.unshift(batch, "due");
  expect(namesOf(queue.take(10))).toEqual(["b1", "a1", "a2"]);
});

test("a tenant that is set aside has no turn until it is let go, and what came meanwhile waits behind what was put back", () => {
  const queue = new CommandQueue({ claims });
  for (const order of ["1", "2", "3"]) queue.push(pending("a", order));
  queue.push(pending("b", "4"));
  const aside = queue.takeAside("a", 2);
  expect(namesOf(aside)).toEqual(["1", "2"]);
  queue.push(pending("a", "5"));
  expect(namesOf(queue.take(10))).toEqual(["4"]);
  expect([namesOf(queue.take(10)), queue.size]).toEqual([[], 2]);
  queue.letGo("a");
  queue.unshiftFirst(aside);
  expect(namesOf(queue.take(10))).toEqual(["1", "2", "3", "5"]);
  // All that it has taken, and then comes more: it is still set aside.
  queue.push(pending("big", "6"));
  expect(namesOf(queue.takeAside("big", 10))).toEqual(["6"]);
  queue.push(pending("big", "7"));
  expect(namesOf(queue.take(10))).toEqual([]);
  queue.letGo("big");
  expect(namesOf(queue.take(10))).toEqual(["7"]);
  expect(queue.takeAside("nobody", 10)).toEqual([]);
});

/** What the queue says of one command more. */
function refusalOf(queue: CommandQueue, tenant: string): unknown {
  try {
    queue.push(pending(tenant, "one more"));
    return undefined;
  } catch (error) {
    const { reason, metadata } = error instanceof Refusal ? error : expect.fail(String(error));
    return { reason, ...metadata };
  }
}

test("tenant_queued_commands: a tenant's commands wait up to a number of their own, and others' beside them", () => {
  const queue = new CommandQueue({ maxQueuedPerTenant: 2, maxQueued: 10 });
  for (const order of ["1", "2"]) queue.push(pending("a", order));
  const due = { reason: ErrorReason.OVERLOADED, limit: "tenant_queued_commands", allowed: "2", used: "2" };
  expect(refusalOf(queue, "a")).toEqual(due);
  expect(refusalOf(queue, "b")).toBeUndefined();
  expect(queue.size).toBe(3);
  // What is taken makes room, and what is put back fills it again.
  const taken = queue.take(10);
  expect(refusalOf(queue, "a")).toBeUndefined();
  queue.unshift(taken, "due");
  expect(refusalOf(queue, "a")).toEqual({ ...due, used: "3" });
});

test("instance_queued_commands: all tenants' commands wait up to a number", () => {
  const queue = new CommandQueue({ maxQueuedPerTenant: 2, maxQueued: 3 });
  for (const tenant of ["a", "b", "c"]) queue.push(pending(tenant, "1"));
  const due = { reason: ErrorReason.OVERLOADED, limit: "instance_queued_commands", allowed: "3", used: "3" };
  for (const tenant of ["a", "d"]) expect(refusalOf(queue, tenant), tenant).toEqual(due);
  expect(namesOf(queue.take(10))).toEqual(["1", "1", "1"]);
  expect(refusalOf(queue, "d")).toBeUndefined();
});

test.each([
  ["tenant_queued_commands", 10_000, () => "a"],
  ["instance_queued_commands", 20_000, (i: number) => `tenant ${i % 3}`],
] as const)("%s is %i when nothing else is said", (limit, allowed, tenantOf) => {
  const queue = new CommandQueue();
  const one = pending("", "1", 1);
  const push = (i: number) => queue.push({ ...one, command: { ...one.command, tenant: tenantOf(i) } });
  for (let i = 0; i < allowed; i++) push(i);
  const metadata = { limit, allowed: String(allowed), used: String(allowed) };
  expect(() => push(allowed)).toThrow(expect.objectContaining({ reason: ErrorReason.OVERLOADED, metadata }));
});

test("commands wait up to a number of bytes; a larger one waits alone", () => {
  const queue = new CommandQueue({ maxQueuedBytes: 100 });
  queue.push(pending("a", "large", 500));
  expect(() => queue.push(pending("b", "small", 1))).toThrow(
    expect.objectContaining({ reason: ErrorReason.OVERLOADED }),
  );
  const taken = queue.take(10);
  queue.push(pending("b", "small", 90));
  expect(() => queue.push(pending("b", "more", 11))).toThrow("too many changes");
  queue.unshift(taken, "due");
  expect(queue.take(10)).toHaveLength(2);
  queue.push(pending("b", "again", 100));
  expect(queue.size).toBe(1);
});

/** "big" has four times the weight of others and a reserve, and so have "r0", "r1" and so on. */
const claims: Claims = {
  weightOf: (tenant) => (/^(big|r\d+)$/.test(tenant) ? 4 : 1),
  hasReserve: (tenant) => /^(big|r\d+)$/.test(tenant),
};

function backlog(tenants: readonly string[], commands: number): CommandQueue {
  const queue = new CommandQueue({ claims });
  for (const tenant of tenants) for (let i = 0; i < commands; i++) queue.push(pending(tenant, `${tenant}-${i}`));
  return queue;
}

function countOf(batch: readonly Pending[], tenant: string): number {
  return batch.filter(({ command }) => command.tenant === tenant).length;
}

test("a batch is filled by the tenants' weights", () => {
  const batch = backlog(["a", "b", "big"], 2_000).take(600);
  expect([countOf(batch, "a"), countOf(batch, "b"), countOf(batch, "big")]).toEqual([100, 100, 400]);
});

test("a command costs what it names", () => {
  const queue = new CommandQueue();
  const wide = (i: number) => {
    const one = pending("wide", `w${i}`);
    return { ...one, command: { ...one.command, subjects: Array(4).fill(one.command.subjects[0]) } };
  };
  for (let i = 0; i < 50; i++) {
    queue.push(wide(i));
    queue.push(pending("a", `a${i}`));
  }
  const batch = queue.take(50);
  expect([countOf(batch, "wide"), countOf(batch, "a")]).toEqual([10, 40]);
});

test("while a tenant with a reserve is inside its share it goes first, and few others go with it", () => {
  const queue = backlog(["a", "b"], 9_000);
  expect(queue.take(1_000)).toHaveLength(1_000);
  expect(queue.cutShort).toBe(false);
  for (const order of ["1", "2"]) queue.push(pending("r1", order));
  const batch = queue.take(1_000);
  expect(namesOf(batch.slice(0, 2))).toEqual(["1", "2"]);
  expect([batch.length, queue.cutShort]).toEqual([34, true]);
  for (let taken = 34; taken < 4_000; taken += 32) expect(queue.take(1_000)).toHaveLength(32);
  expect(queue.take(1_000)).toHaveLength(1_000);
  expect(queue.cutShort).toBe(false);
});

test("a tenant with a reserve that has more waiting than its share makes no batch smaller", () => {
  const queue = backlog(["a", "big"], 3_000);
  expect(queue.take(1_000)).toHaveLength(1_000);
  expect(queue.cutShort).toBe(false);
});

test("tenants with a reserve do not make batches smaller for each other", () => {
  const queue = backlog(
    Array.from({ length: 300 }, (_, i) => `r${i}`),
    1,
  );
  expect([queue.take(1_000).length, queue.cutShort]).toEqual([300, false]);
});
