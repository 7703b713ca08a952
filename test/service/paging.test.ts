import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  numericCursor,
  PAGE_BYTES_MAX,
  PAGE_SIZE_DEFAULT,
  PAGE_SIZE_MAX,
  pageOf,
  pageScope,
  pageSize,
} from "../../src/service/paging.ts";

describe("pages", () => {
  test.each([
    [0, PAGE_SIZE_DEFAULT],
    [-5, PAGE_SIZE_DEFAULT],
    [1, 1],
    [PAGE_SIZE_MAX, PAGE_SIZE_MAX],
    [PAGE_SIZE_MAX + 1, PAGE_SIZE_MAX],
  ])("who asks for %i gets at most %i", (asked, size) => expect(pageSize(asked)).toBe(size));

  test("scopes of other tenants, methods and filters are other scopes", () => {
    const scopes = [
      pageScope("t1", "ListOrders", ""),
      pageScope("t2", "ListOrders", ""),
      pageScope("t1", "ListOrderEvents", ""),
      pageScope("t1", "ListOrders", "x"),
      pageScope('t1","ListOrders', "", "x"),
    ];
    expect(new Set(scopes).size).toBe(scopes.length);
  });

  test("a cursor is a number or the token is refused", () => {
    expect(numericCursor("9223372036854775807")).toBe(2n ** 63n - 1n);
    for (const text of ["", "-1", "1e3", "12345678901234567890"]) {
      expect(() => numericCursor(text)).toThrow(expect.objectContaining({ reason: ErrorReason.PAGE_TOKEN_INVALID }));
    }
  });

  test("a page ends at its size or at about its bytes, and has at least one row", () => {
    const rows = (...sizes: number[]) => sizes.map((size) => ({ summary: new Uint8Array(size) }));
    expect(pageOf(rows(1, 1, 1), 2)).toHaveLength(2);
    expect(pageOf(rows(1, 1), 2)).toHaveLength(2);
    expect(pageOf([], 2)).toEqual([]);
    expect(pageOf(rows(PAGE_BYTES_MAX - 1, 1, 1), 10)).toHaveLength(2);
    expect(pageOf(rows(PAGE_BYTES_MAX + 1, 1), 10)).toHaveLength(1);
  });
});
