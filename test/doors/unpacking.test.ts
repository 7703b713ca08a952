import { syncBuiltinESMExports } from "node:module";
import zlib, { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession } from "./raw.ts";
import { World, within } from "./world.ts";

/*
 * The limit unpacked_requests: so many compressed requests are unpacked at a time, and the others wait in line. The thread that
 * unpacks is held here until the test lets it go.
 */

/** What has begun to be unpacked, and is held. */
const held: (() => void)[] = [];

const { gunzip } = zlib;

function unpackWith(unzip: unknown): void {
  Object.assign(zlib, { gunzip: unzip });
  syncBuiltinESMExports();
}

beforeEach(() => {
  held.splice(0);
  unpackWith((...all: Parameters<typeof gunzip>) => void held.push(() => gunzip(...all)));
});
afterEach(() => unpackWith(gunzip));

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const plain = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));
/** A request of an id and an unknown field that makes it large: small ones are unpacked where they stand. */
const large = Buffer.concat([plain, Buffer.from([0xfa, 0x3f, 0xa0, 0x8d, 0x06]), Buffer.alloc(100_000)]);

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  test.each([1, 2])("unpacks %i at a time; the others wait, and what is plain or small does not", async (most) => {
    await using world = await World.open({ [door]: { maxUnpacking: most } });
    // Each on a connection of its own, as other callers are.
    const call = (message: Buffer, headers = {}) => {
      const sent = rawCall(rawSession(world, door === "http" ? world.httpPort : world.grpcPort), GET_ORDER, headers);
      const answer = rawAnswer(sent);
      sent.end(message);
      return answer;
    };
    const packed = (bytes: Uint8Array) => call(frame(gzipSync(bytes), 1), { "grpc-encoding": "gzip" });
    const answered: number[] = [];
    const calls = Array.from({ length: most + 2 }, async (_, i) => {
      const answer = await packed(large);
      answered.push(i);
      return grpcStatusOf(answer);
    });
    await expect.poll(() => held.length, { timeout: 5_000 }).toBe(most);
    // Whoever came after them is answered, so they had all the time to begin.
    expect(grpcStatusOf(await within(5_000, call(frame(plain)), "no answer"))).toBe("0");
    expect(grpcStatusOf(await within(5_000, packed(plain), "no answer"))).toBe("0");
    expect([held.length, answered]).toEqual([most, []]);
    // One that is done lets one begin.
    for (let begun = most; begun < calls.length; begun++) {
      held.shift()?.();
      await expect.poll(() => answered.length, { timeout: 5_000 }).toBe(begun - most + 1);
      expect(held.length).toBe(most);
    }
    for (const go of held.splice(0)) go();
    expect(await within(5_000, Promise.all(calls), "one was not answered")).toEqual(calls.map(() => "0"));
  });
});
