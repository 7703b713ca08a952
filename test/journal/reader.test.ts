import { Client } from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { orderRef, SubjectKind } from "../../src/domain/subject.ts";
import { Reader } from "../../src/journal/reader.ts";
import { Connection } from "../../src/store/connection.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase(inject("postgresUrl"));
  await createTenant(database, "a");
});
afterAll(() => database[Symbol.asyncDispose]());

test("when as many reads wait as may, one more is refused, and the reader goes on", async () => {
  const reader = new Reader([new Connection({ url: database.appUrl, applicationName: "test" })], { maxQueuedReads: 2 });
  const pages = Array.from({ length: 3 }, () => reader.rows({ tenant: "a", kind: SubjectKind.ORDER, limit: 1 }));
  const row = reader.subject("a", orderRef("x"));
  await expect(row).rejects.toMatchObject({ reason: ErrorReason.OVERLOADED });
  expect(await Promise.all(pages)).toEqual([[], [], []]);
  expect(await reader.subject("a", orderRef("x"))).toBeUndefined();
  await reader.close();
});

test("a read that takes too long says that the database cannot be asked, not that the fault is ours", async () => {
  const url = database.appUrl;
  const reader = new Reader([new Connection({ url, applicationName: "test", statementTimeoutMs: 200 })]);
  const blocker = new Client({ connectionString: database.ownerUrl });
  await blocker.connect();
  await blocker.query("begin; lock table journal_head");
  await expect(reader.heads(["a"])).rejects.toMatchObject({ reason: ErrorReason.DATABASE_UNAVAILABLE });
  await blocker.query("rollback");
  expect((await reader.heads(["a"])).has("a")).toBe(true);
  await blocker.end();
  await reader.close();
});
