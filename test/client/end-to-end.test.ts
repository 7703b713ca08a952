import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { createLeadlineClient, type LeadlineClient } from "../../src/client/node.ts";
import { Status } from "../../src/client/status.ts";
import { type Ready, ServiceProcess } from "./service-process.ts";

let service: ServiceProcess;
let ready: Ready;
const clients: LeadlineClient[] = [];

beforeAll(async () => {
  service = await ServiceProcess.prepare();
  ready = await service.start();
}, 60_000);

afterAll(async () => {
  for (const client of clients) client.close();
  await service?.[Symbol.asyncDispose]();
});

function clientWith(key: string): LeadlineClient {
  const client = createLeadlineClient({ address: ready.grpc, key });
  clients.push(client);
  return client;
}

/** Restarts under way: what failed meanwhile is tried again once they are over. */
let restarted = Promise.resolve();

async function restart(fault: () => Promise<void>): Promise<void> {
  await fault();
  await service.start();
}

/** Writes one report after the other, across restarts: each has a request id, so one that is sent again counts once. */
async function writeWhile(orderId: string, running: () => boolean): Promise<number> {
  let { orders } = clientWith(ready.operator);
  let written = 0;
  while (running()) {
    const id = `${orderId}/${written}`;
    const occurredAt = { instant: { seconds: BigInt(1_800_000_000 + written) } };
    const report = { sourceId: id, classifier: Classifier.ESTIMATED, status: "DELIVERED", occurredAt };
    try {
      await orders.reportStatus({ requestId: id, orderId, report });
      written += 1;
    } catch (error) {
      if (!(error instanceof LeadlineError) || error.code !== Status.UNAVAILABLE) throw error;
      await restarted;
      orders = clientWith(ready.operator).orders;
    }
  }
  return written;
}

describe("a watch of orders", () => {
  test("has every version once and in order while the service is killed and drained under it", async () => {
    await clientWith(ready.operator).orders.createOrder({ orderId: "ceaseless" });
    const watch = clientWith(ready.viewer).watchOrders({
      filter: { ids: ["ceaseless"] },
      includeSnapshot: true,
      backoff: { maxMs: 500 },
    });
    let writing = true;
    const writer = writeWhile("ceaseless", () => writing);
    const versions: bigint[] = [];
    let last: bigint | undefined;
    const faults = [() => service.kill(), () => service.stop(), () => service.kill()];
    for await (const item of watch) {
      if (item.type === "snapshot") versions.push(item.order.version);
      if (item.type === "reset") throw new Error("the journal was reset");
      if (item.type !== "event") continue;
      versions.push(item.event.version);
      const fault = versions.length % 50 === 0 ? faults.shift() : undefined;
      if (fault) {
        restarted = restart(fault);
        await restarted;
      }
      if (versions.length === 250) {
        writing = false;
        // The order was created as version 1; each report is one more.
        last = BigInt(1 + (await writer));
      }
      if (item.event.version === last) break;
    }
    expect(faults).toEqual([]);
    const [first = 0n] = versions;
    expect(versions).toEqual(Array.from({ length: versions.length }, (_, index) => first + BigInt(index)));
    expect(versions.at(-1)).toBe(last);
  }, 120_000);

  test("continues in another client from a position that was kept", async () => {
    const { orders } = clientWith(ready.operator);
    await orders.createOrder({ orderId: "kept-1" });
    const first = clientWith(ready.viewer).watchOrders({
      filter: { ids: ["kept-1", "kept-2"] },
      includeSnapshot: true,
    });
    for await (const item of first) if (item.type === "synced") break;
    const { position } = first;
    expect(position).toMatch(/^\d+-/);
    await orders.createOrder({ orderId: "kept-2" });
    const second = clientWith(ready.viewer).watchOrders({ filter: { ids: ["kept-1", "kept-2"] }, position });
    for await (const item of second) {
      if (item.type !== "event") continue;
      expect(item.event.subjectId).toBe("kept-2");
      break;
    }
  });

  test("from a position of another journal is reset, and takes a new snapshot when one is wanted", async () => {
    await clientWith(ready.operator).orders.createOrder({ orderId: "after-reset" });
    const watch = clientWith(ready.viewer).watchOrders({
      position: "99999999-0000000000000",
      includeSnapshot: true,
      filter: { ids: ["after-reset"] },
    });
    const types: string[] = [];
    for await (const item of watch) {
      types.push(item.type);
      if (item.type === "synced") break;
    }
    expect(types).toEqual(["reset", "snapshot", "synced"]);
  });

  test("from a position that is none fails with the reason", async () => {
    const watch = clientWith(ready.viewer).watchOrders({ position: "gibberish" });
    await expect(watch.next()).rejects.toMatchObject({ code: Status.INVALID_ARGUMENT, reason: "POSITION_INVALID" });
  });

  test("ends with UNAUTHENTICATED when its key is revoked", async () => {
    const owner = clientWith(ready.owner);
    const { key, secret } = await owner.tenants.createKey({ name: "short-lived", role: Role.VIEWER });
    const watch = clientWith(secret).watchOrders({ includeSnapshot: true });
    const end = (async () => {
      for await (const item of watch) {
        if (item.type === "synced") await owner.tenants.revokeKey({ keyId: key?.id ?? "" });
      }
    })();
    await expect(end).rejects.toMatchObject({ code: Status.UNAUTHENTICATED });
  });
});

describe("a carrier's watch of bookings", () => {
  test("resumes from its opaque position and repeats nothing", async () => {
    const request = (bookingId: string) =>
      clientWith(ready.operator).bookings.requestBooking({
        bookingId,
        request: {
          mode: TransportMode.OCEAN,
          carrier: "MAEU",
          places: [
            { type: "POL", place: { unlocode: "NLRTM" } },
            { type: "POD", place: { unlocode: "SGSGP" } },
          ],
          equipment: [{ isoEquipmentCode: "22G1", units: 2 }],
          receiptType: "CY",
          deliveryType: "CY",
          expectedDeparture: { instant: { seconds: 1_800_000_000n } },
        },
      });
    const seen: string[] = [];
    const follow = async (position: string | undefined, until: string): Promise<string | undefined> => {
      const watch = clientWith(ready.carrier).watchBookings({ position, includeSnapshot: true });
      for await (const item of watch) {
        if (item.type === "snapshot") seen.push(item.booking.id);
        if (item.type === "event") seen.push(item.event.subjectId);
        if (seen.at(-1) === until && watch.position !== undefined) return watch.position;
      }
      return undefined;
    };
    await request("bk-1");
    const afterFirst = await follow(undefined, "bk-1");
    expect(afterFirst).toMatch(/^c/);
    await request("bk-2");
    const afterSecond = await follow(afterFirst, "bk-2");
    await service.kill();
    await service.start();
    await request("bk-3");
    await follow(afterSecond, "bk-3");
    expect(seen).toEqual(["bk-1", "bk-2", "bk-3"]);
  }, 60_000);
});
