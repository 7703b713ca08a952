import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EndReason, ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";
import { watchOrders } from "../../src/client/watch.ts";
import { bookmark, events, ManualClock, positionAt, ScriptedServer, settled, started } from "./scripted-streams.ts";
import { watching } from "./watching.ts";

describe("resuming", () => {
  test("a watch from now continues from the head that it was told, when the stream breaks before anything happened", async () => {
    const { server, clock, watch } = watching();
    await settled();
    expect(server.stream(1).request).toMatchObject({ position: "", includeSnapshot: false });
    server.stream(1).send(started("7-head"));
    await settled();
    expect(watch.position).toBe("7-head");
    server.stream(1).fail(new LeadlineError(Status.UNAVAILABLE, "gone"));
    await settled();
    await clock.advance(100);
    expect(server.stream(2).request).toMatchObject({ position: "7-head", includeSnapshot: false });
  });

  test("a watch continues after the last event of a message, and the position moves with each item", async () => {
    const { server, clock, watch, seen } = watching({ position: positionAt(1) });
    await settled();
    expect(server.stream(1).request.position).toBe(positionAt(1));
    server.stream(1).send(started(positionAt(4)), events(2, 3, 4));
    await settled();
    expect(watch.position).toBe(positionAt(4));
    server.stream(1).end();
    await settled();
    await clock.advance(100);
    server.stream(2).send(started(positionAt(5)), events(5));
    await settled();
    expect(server.stream(2).request.position).toBe(positionAt(4));
    expect(seen).toEqual(["2-e2", "3-e3", "4-e4", "5-e5"]);
  });

  test("the position is that of the item in hand, not of the message it came in", async () => {
    const server = new ScriptedServer();
    const watch = watchOrders(server.open, { position: positionAt(1), clock: new ManualClock() });
    const first = watch.next();
    await settled();
    server.stream(1).send(started(positionAt(4)), events(2, 3));
    await first;
    expect(watch.position).toBe(positionAt(2));
    await watch.next();
    expect(watch.position).toBe(positionAt(3));
    await watch.return();
  });

  test("what was delivered before is not given again: neither events nor orders that left", async () => {
    const { server, clock, seen } = watching({ position: positionAt(1) });
    await settled();
    server.stream(1).send(started(positionAt(3)), events(2, 3));
    await settled();
    server.stream(1).end();
    await settled();
    await clock.advance(100);
    server
      .stream(2)
      .send(
        started(positionAt(4)),
        { left: [{ id: "ord_9", position: positionAt(3) }] },
        events(2, 3, 4),
        { left: [{ id: "ord_8", position: positionAt(5) }] },
        bookmark(4),
      );
    await settled();
    expect(seen).toEqual(["2-e2", "3-e3", "4-e4", "left ord_8"]);
  });

  test("an outside carrier's opaque positions are compared by equality only", async () => {
    const { server, clock, seen } = watching({ position: "cAAA" });
    await settled();
    const told = (...positions: string[]) => ({ events: positions.map((position) => ({ position })) });
    server.stream(1).send(started("cCCC"), told("cZZZ", "cBBB"));
    await settled();
    server.stream(1).end();
    await settled();
    await clock.advance(100);
    server.stream(2).send(started("cCCC"), told("cBBB", "cAAB"));
    await settled();
    expect(server.stream(2).request.position).toBe("cBBB");
    expect(seen).toEqual(["cZZZ", "cBBB", "cAAB"]);
  });

  test("a bookmark moves the position and tells when the journal was compared", async () => {
    const server = new ScriptedServer();
    const watch = watchOrders(server.open, { clock: new ManualClock() });
    const next = watch.next();
    await settled();
    server.stream(1).send(started(positionAt(1)), bookmark(5, 1_234));
    expect(await next).toEqual({
      done: false,
      value: { type: "bookmark", position: positionAt(5), verifiedAt: new Date(1_234) },
    });
    expect(watch.position).toBe(positionAt(5));
    await watch.return();
  });
});

describe("the snapshot", () => {
  test("rows, then synced, then what follows; the position exists once it is complete", async () => {
    const { server, clock, watch, seen } = watching({ includeSnapshot: true });
    await settled();
    expect(server.stream(1).request).toMatchObject({ position: "", includeSnapshot: true });
    server.stream(1).send(started(positionAt(3)), { orders: [{ id: "a" }, { id: "b" }] });
    await settled();
    expect(watch.position).toBeUndefined();
    server.stream(1).send({ synced: { position: positionAt(3) } }, events(4));
    await settled();
    expect(seen).toEqual(["row a", "row b", "synced", "4-e4"]);
    server.stream(1).end();
    await settled();
    await clock.advance(100);
    expect(server.stream(2).request).toMatchObject({ position: positionAt(4), includeSnapshot: false });
  });

  test("a stream that breaks inside the snapshot starts it anew and says so, whatever was bookmarked", async () => {
    const { server, clock, seen } = watching({ includeSnapshot: true });
    await settled();
    server.stream(1).send(started(positionAt(3)), { orders: [{ id: "a" }] }, bookmark(3));
    await settled();
    server.stream(1).fail(new LeadlineError(Status.UNAVAILABLE, "gone"));
    await settled();
    await clock.advance(100);
    expect(server.stream(2).request).toMatchObject({ position: "", includeSnapshot: true });
    server.stream(2).send(started(positionAt(4)), { orders: [{ id: "b" }] }, { synced: { position: positionAt(4) } });
    await settled();
    expect(seen).toEqual(["row a", "restart", "row b", "synced"]);
  });

  test("rows are no progress: snapshots that break again and again are asked for ever more slowly", async () => {
    const { server, clock } = watching({ includeSnapshot: true });
    await settled();
    const waits: number[] = [];
    for (let count = 1; count <= 4; count += 1) {
      server.stream(count).send(started(positionAt(3)), { orders: [{ id: "a" }] });
      server.stream(count).end();
      await settled();
      const [wait = -1] = clock.waits;
      waits.push(wait);
      await clock.advance(wait);
    }
    expect(waits).toEqual([100, 200, 400, 800]);
  });

  test("with a position as well, it is taken only after a reset", async () => {
    const { server, clock, watch, seen } = watching({ includeSnapshot: true, position: positionAt(9) });
    await settled();
    expect(server.stream(1).request).toMatchObject({ position: positionAt(9), includeSnapshot: false });
    server
      .stream(1)
      .send(started(positionAt(5)), { reset: { reason: ResetReason.POSITION_AHEAD, head: positionAt(5) } });
    server.stream(1).end();
    await settled();
    expect(watch.position).toBeUndefined();
    await clock.advance(100);
    expect(server.stream(2).request).toMatchObject({ position: "", includeSnapshot: true });
    server.stream(2).send(started(positionAt(5)), { orders: [{ id: "a" }] }, { synced: { position: positionAt(5) } });
    await settled();
    expect(seen).toEqual(["reset", "row a", "synced"]);
  });
});

describe("endings", () => {
  test("after a reset without snapshot the watch goes on from the head, below the old position too", async () => {
    const { server, clock, watch, seen } = watching({ position: positionAt(9) });
    await settled();
    server
      .stream(1)
      .send(started(positionAt(4)), { reset: { reason: ResetReason.HISTORY_DIVERGED, head: positionAt(4) } });
    server.stream(1).end();
    await settled();
    expect(watch.position).toBe(positionAt(4));
    await clock.advance(100);
    server.stream(2).send(started(positionAt(4)), events(5));
    await settled();
    expect(server.stream(2).request.position).toBe(positionAt(4));
    expect(seen).toEqual(["reset", "5-e5"]);
  });

  test("an announced end is resumed from its position after the time it asks for, and its status is no error", async () => {
    const { server, clock, states, seen } = watching({ position: positionAt(1) });
    await settled();
    server.stream(1).send(started(positionAt(1)), {
      end: {
        reason: EndReason.DRAINING,
        position: positionAt(6),
        retryAfter: durationFromMs(1_500),
        verifiedAt: timestampFromMs(5),
      },
    });
    server.stream(1).fail(new LeadlineError(Status.UNAVAILABLE, "draining", { reason: "DRAINING" }));
    await settled();
    expect(states.at(-1)).toEqual({ state: "waiting", delayMs: 1_600, error: undefined, end: EndReason.DRAINING });
    await clock.advance(1_599);
    expect(server.streams).toHaveLength(1);
    await clock.advance(1);
    expect(server.stream(2).request.position).toBe(positionAt(6));
    expect(seen).toEqual([`bookmark ${positionAt(6)}`]);
  });

  test("a revoked credential ends the watch with the error, though it was announced as an end", async () => {
    const { server, over } = watching({ position: positionAt(1) });
    await settled();
    server.stream(1).send(started(positionAt(1)), { end: { reason: EndReason.CREDENTIAL, position: positionAt(2) } });
    server.stream(1).fail(new LeadlineError(Status.UNAUTHENTICATED, "revoked", { reason: "CREDENTIAL_INVALID" }));
    await expect(over).rejects.toMatchObject({ code: Status.UNAUTHENTICATED, reason: "CREDENTIAL_INVALID" });
    expect(server.streams).toHaveLength(1);
  });

  test.each([
    Status.UNAUTHENTICATED,
    Status.PERMISSION_DENIED,
    Status.INVALID_ARGUMENT,
    Status.FAILED_PRECONDITION,
    Status.NOT_FOUND,
    Status.UNIMPLEMENTED,
  ])("status %i is final", async (code) => {
    const { server, over } = watching();
    await settled();
    server.stream(1).fail(new LeadlineError(code, "no"));
    await expect(over).rejects.toMatchObject({ code });
  });

  test.each([
    new LeadlineError(Status.UNAVAILABLE, "gone"),
    new LeadlineError(Status.RESOURCE_EXHAUSTED, "too many"),
    new LeadlineError(Status.INTERNAL, "a fault"),
    new LeadlineError(Status.DEADLINE_EXCEEDED, "late"),
    new TypeError("fetch failed"),
  ])("%s is tried again", async (error) => {
    const { server, clock } = watching();
    await settled();
    server.stream(1).fail(error);
    await settled();
    await clock.advance(100);
    expect(server.streams).toHaveLength(2);
  });
});
