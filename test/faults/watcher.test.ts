import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import type { CallerKind } from "../doors/callers.ts";
import type { Member } from "./cluster.ts";
import { readerFaults } from "./reader-faults.ts";
import type { Run } from "./run.ts";
import { type Plan, Watcher } from "./watcher.ts";

type Stream = (signal: AbortSignal) => AsyncIterable<unknown>;

/** A watcher whose streams are these, one after the other; the last again and again. */
function watching(start: Plan["start"], ...streams: readonly Stream[]) {
  const wrong: string[] = [];
  const left = [...streams];
  const stream = (_method: unknown, _request: unknown, { signal }: { signal: AbortSignal }) =>
    ((left.length > 1 ? left.shift() : left[0]) as Stream)(signal);
  const kind = { name: "none", open: () => ({ stream }) } as unknown as CallerKind;
  const reader = { tenant: "acme", visibility: { class: "staff" }, of: "orders", sees: () => true } as const;
  const member = { doors: { grpc: {}, http: {} } } as unknown as Member;
  const watcher = new Watcher(
    { name: "acme all orders", kind, reader, key: "", filter: undefined, mode: "ALL", start },
    {
      record: true,
      choose: () => member,
      random: () => 0,
      placeOf: (_reader, position) => ({ revision: Number(position.split("-")[0]), eventId: position }),
      isForeign: () => false,
      onEvent: () => undefined,
      onWrong: (_watcher, what) => wrong.push(what),
    },
  );
  return { watcher, wrong };
}

const started = () => create(WatchOrdersResponseSchema, { started: { head: "5-x" } });

function refusedWith(reason: string, code: Code): Stream {
  // biome-ignore lint/correctness/useYield: a stream that is refused brings nothing
  return async function* () {
    const details = [{ desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason }) }];
    throw new ConnectError("refused", code, undefined, details);
  };
}

test.each([
  ["a watch that resumes is never refused past a limit", { position: "3-x" }, "RATE_LIMITED", true],
  ["one that begins may be", "now", "RATE_LIMITED", false],
  ["one that resumes may be told to come back", { position: "3-x" }, "DRAINING", false],
] as const)("%s", async (_what, start, reason, isWrong) => {
  const code = reason === "RATE_LIMITED" ? Code.ResourceExhausted : Code.Unavailable;
  const { watcher, wrong } = watching(start, refusedWith(reason, code));
  watcher.start();
  await vi.waitUntil(() => watcher.counts.streams > 2);
  await watcher.stop();
  expect(wrong.length > 0).toBe(isWrong);
  if (isWrong) expect(wrong[0]).toMatch(/^the watch ended with ResourceExhausted RATE_LIMITED/);
});

test("a stream that was dropped before it started does not count as started", async () => {
  const { watcher } = watching("now", async function* (signal) {
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    yield started();
  });
  watcher.start();
  for (const streams of [1, 2]) {
    await vi.waitUntil(() => watcher.counts.streams === streams);
    watcher.drop();
  }
  await vi.waitUntil(() => watcher.counts.streams === 3);
  expect(watcher.counts.starts).toBe(0);
  await watcher.stop();
});

test("after a reconnect storm everybody must have started again, and who has not is named", async () => {
  const storm = readerFaults.find(({ name }) => name === "reconnect storm");
  const one = (name: string, comesBack: boolean) => {
    const counts = { starts: 3 };
    return { plan: { name }, counts, drop: () => comesBack && setTimeout(() => (counts.starts += 1), 5) };
  };
  const wrong: string[] = [];
  const run = (watchers: unknown) =>
    ({
      watchers,
      between: () => 10,
      comesToBe: async (_ms: number, holds: () => boolean) => holds(),
      wrong: (validator: string, who: string, what: string) => wrong.push(`${validator}: ${who}: ${what}`),
    }) as unknown as Run;
  expect(await storm?.happen(run([one("a", true), one("b", true)]))).toBe(1);
  expect(wrong).toEqual([]);
  await storm?.happen(run([one("a", true), one("b", false)]));
  expect(wrong).toEqual([expect.stringMatching(/^live: b: had not started again \d+ ms after a reconnect storm$/)]);
});
