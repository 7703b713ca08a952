import { describe, expect, test } from "vitest";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";
import { watchOrders } from "../../src/client/watch.ts";
import {
  bookmark,
  events,
  heartbeatMs,
  ManualClock,
  positionAt,
  ScriptedServer,
  settled,
  started,
} from "./scripted-streams.ts";
import { watching, word } from "./watching.ts";

describe("waiting", () => {
  test("the bound of the wait doubles up to its maximum while nothing is brought, and starts over after an item", async () => {
    const { server, clock } = watching({ position: positionAt(1), backoff: { maxMs: 1_000 } });
    await settled();
    const waits: number[] = [];
    const breakOff = async (count: number) => {
      server.stream(count).end();
      await settled();
      const [wait = -1] = clock.waits;
      waits.push(wait);
      await clock.advance(wait);
    };
    for (let count = 1; count <= 5; count += 1) await breakOff(count);
    server.stream(6).send(started(positionAt(1)), events(2));
    await settled();
    await breakOff(6);
    expect(waits).toEqual([100, 200, 400, 500, 500, 100]);
  });

  test("advice to retry later is added to, and bounded", async () => {
    const { server, clock } = watching({ backoff: { retryAfterMaxMs: 10_000 } });
    await settled();
    server.stream(1).fail(new LeadlineError(Status.RESOURCE_EXHAUSTED, "full", { retryAfterMs: 3_000 }));
    await settled();
    expect(clock.waits).toEqual([3_100]);
    await clock.advance(3_100);
    server.stream(2).fail(new LeadlineError(Status.RESOURCE_EXHAUSTED, "full", { retryAfterMs: 1e9 }));
    await settled();
    expect(clock.waits).toEqual([10_200]);
  });

  test("three heartbeats of silence close the stream and open another", async () => {
    const { server, clock, states } = watching();
    await settled();
    server.stream(1).send(started(positionAt(1)));
    await settled();
    await clock.advance(3 * heartbeatMs - 1);
    server.stream(1).send(bookmark(1));
    await settled();
    await clock.advance(3 * heartbeatMs - 1);
    expect(server.stream(1).signal.aborted).toBe(false);
    await clock.advance(1);
    expect(server.stream(1).signal.aborted).toBe(true);
    expect(states.at(-1)).toMatchObject({ state: "waiting", error: { code: Status.UNAVAILABLE } });
    await clock.advance(100);
    expect(server.stream(2).request.position).toBe(positionAt(1));
  });

  test("so they do where nobody is told of the connection", async () => {
    const { server, clock } = watching({ onConnection: undefined });
    await settled();
    server.stream(1).send(started(positionAt(1)));
    await settled();
    await clock.advance(3 * heartbeatMs - 1);
    expect(server.stream(1).signal.aborted).toBe(false);
    await clock.advance(1);
    expect(server.stream(1).signal.aborted).toBe(true);
  });

  test("a stream that does not even start is given up after the opening timeout", async () => {
    const { server, clock } = watching({ openTimeoutMs: 5_000 });
    await settled();
    await clock.advance(4_999);
    expect(server.stream(1).signal.aborted).toBe(false);
    await clock.advance(1);
    expect(server.stream(1).signal.aborted).toBe(true);
  });

  test("a consumer that is slow to ask is no silence of the server's", async () => {
    const server = new ScriptedServer();
    const clock = new ManualClock();
    const watch = watchOrders(server.open, { position: positionAt(1), clock });
    const first = watch.next();
    await settled();
    server.stream(1).send(started(positionAt(3)), events(2), events(3));
    await first;
    await clock.advance(100 * heartbeatMs);
    expect(await watch.next()).toMatchObject({ value: { event: { position: positionAt(3) } } });
    await watch.return();
  });
});

describe("ending it", () => {
  test("aborting ends the loop without an error and closes the stream", async () => {
    const stop = new AbortController();
    const { server, over, clock } = watching({ signal: stop.signal });
    await settled();
    server.stream(1).send(started(positionAt(1)));
    await settled();
    stop.abort();
    await over;
    expect(server.stream(1).signal.aborted).toBe(true);
    expect(clock.waits).toEqual([]);
  });

  test("aborting while it waits to reconnect ends it too", async () => {
    const stop = new AbortController();
    const { server, over, clock } = watching({ signal: stop.signal });
    await settled();
    server.stream(1).end();
    await settled();
    expect(clock.waits).toEqual([100]);
    stop.abort();
    await over;
    expect(clock.waits).toEqual([]);
  });

  test("leaving the loop closes the stream", async () => {
    const server = new ScriptedServer();
    const watch = watchOrders(server.open, { position: positionAt(1), clock: new ManualClock() });
    const loop = (async () => {
      for await (const item of watch) return word(item);
      return "nothing";
    })();
    await settled();
    server.stream(1).send(started(positionAt(2)), events(2, 3));
    expect(await loop).toBe(positionAt(2));
    expect(server.stream(1).signal.aborted).toBe(true);
  });

  test("a signal that was aborted before opens nothing", async () => {
    const { server, over } = watching({ signal: AbortSignal.abort() });
    await over;
    expect(server.streams).toEqual([]);
  });
});
