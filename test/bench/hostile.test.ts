import { describe, expect, test } from "vitest";
import { neverCame } from "./hostile.ts";
import { kinds } from "./hostile-kinds.ts";

/* An attack that never came is no measure: the bench ends with an error instead. */

const both = (n: number) => ({ grpc: n, http: n });
const SILENT = "silent sockets";
const loud = Object.keys(kinds).filter((kind) => kind !== SILENT);

describe.each(loud)("%s", (kind) => {
  test("came when its peers connected and sent something to both doors", () => {
    expect(neverCame(kind, { connected: both(1), sentBytes: both(1) })).toEqual([]);
  });

  test("did not when its peers sent nothing to a door, however much they sent to the other", () => {
    const sentBytes = { grpc: 1_000_000, http: 0 };
    expect(neverCame(kind, { connected: both(1), sentBytes })).toEqual([
      `peers of ${kind} sent nothing to the http door`,
    ]);
    expect(neverCame(kind, { connected: both(1), sentBytes: both(0) })).toHaveLength(2);
  });
});

test("silent sockets came when they connected", () => {
  expect(neverCame(SILENT, { connected: both(1), sentBytes: both(0) })).toEqual([]);
  const connected = { grpc: 0, http: 1 };
  expect(neverCame(SILENT, { connected, sentBytes: both(0) })).toEqual([
    "no peer of silent sockets reached the grpc door",
  ]);
});

test("a kind that there is not is no attack", () => {
  expect(() => neverCame("kind words", { connected: both(1), sentBytes: both(1) })).toThrow(
    "no hostile kind kind words",
  );
});
