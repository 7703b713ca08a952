import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { ReadChangesRequestSchema } from "../../gen/leadline/v1/change_service_pb.ts";
import { createChangeService } from "../../src/service/change-service.ts";
import type { Turn } from "../../src/watch/permits.ts";
import { Positions } from "../../src/wire/position.ts";
import { openTestJournal } from "../support/journal.ts";
import { shared } from "../support/shared.ts";
import { callWith } from "./support.ts";

const { journal } = await shared(openTestJournal("acme"));

test("who waits asks the database before and after, and not meanwhile", async () => {
  let reads = 0;
  let open = 0;
  const grown = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<{ tenant: string; after: bigint }>();
  const counting = new Proxy(journal, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        reads++;
        return Reflect.apply(value, target, args);
      };
    },
  });
  const service = createChangeService({
    read: (_turn, task) => task(counting),
    positions: new Positions(Buffer.alloc(32, 7)),
    grown(tenant, after) {
      asked.resolve({ tenant, after });
      return grown.promise;
    },
    waits() {
      open += 1;
      return () => {
        open -= 1;
      };
    },
  });
  const request = create(ReadChangesRequestSchema, { wait: durationFromMs(60_000) });
  const answer = service.readChanges(request, callWith("acme"));
  expect(await asked.promise).toEqual({ tenant: "acme", after: 0n });
  const before = reads;
  expect(before).toBe(2); // the head, and the events
  expect(open).toBe(1);
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(reads).toBe(before);
  grown.resolve();
  await answer;
  expect(reads).toBe(2 * before);
  expect(open).toBe(0);
});

test("a call that is gone by its turn reads nothing, and one that is not takes it for its tenant", async () => {
  const turns: Turn[] = [];
  let reads = 0;
  const service = createChangeService({
    async read(turn, task) {
      turns.push(turn);
      if (!turn.wanted()) return undefined;
      reads++;
      return task(journal);
    },
    positions: new Positions(Buffer.alloc(32, 7)),
    grown: () => Promise.reject(new Error("nobody waits")),
    waits: () => () => undefined,
  });
  const request = create(ReadChangesRequestSchema, { pageSize: 7 });
  const gone = { ...callWith("acme"), signal: AbortSignal.abort(new Error("gone")) };
  await expect(service.readChanges(request, gone)).rejects.toThrow("gone");
  expect(reads).toBe(0);
  await service.readChanges(request, callWith("acme"));
  expect([reads, turns.map(({ tenant, items }) => [tenant, items])]).toEqual([1, Array(2).fill(["acme", 7])]);
});
