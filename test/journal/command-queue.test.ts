import { expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
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
  queue.unshift(batch);
  expect(namesOf(queue.take(10))).toEqual(["b1", "a1", "a2"]);
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
  queue.unshift(taken);
  expect(queue.take(10)).toHaveLength(2);
  queue.push(pending("b", "again", 100));
  expect(queue.size).toBe(1);
});
