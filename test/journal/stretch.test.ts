import { expect, test, vi } from "vitest";
import { orderRef, SubjectKind } from "../../src/domain/subject.ts";
import { Reader } from "../../src/journal/reader.ts";
import { Connection } from "../../src/store/connection.ts";
import { createTenant, createTestDatabase } from "../support/database.ts";

test("a stretch holds the events of its kind in order, says what it passed over, and is left out when it is too large", async () => {
  await using database = await createTestDatabase();
  await createTenant(database, "a");
  await database.sql(
    `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
     select 'a', n, 'e' || n, 1 + (n % 3 = 0)::int, 's' || n, 1, '', now(), decode(lpad(to_hex(n), 4, '0'), 'hex')
     from generate_series(1, 300) n`,
  );
  const connection = new Connection({ url: database.appUrl, applicationName: "test" });
  const reader = new Reader([connection]);
  const orders = (await reader.events("a", 11n, 90, 1_000_000)).filter(({ kind }) => kind === SubjectKind.ORDER);
  const stretch = (tenant: string, after: bigint, upTo: bigint, maxBytes: number) =>
    reader.stretch({ tenant, kind: SubjectKind.ORDER, after, upTo, limit: 90, maxBytes });
  const found = await stretch("a", 10n, 300n, 1_000_000);
  expect(found).toMatchObject({ predecessor: "e10", all: 90, last: { revision: 100n, eventId: "e100" }, events: 60 });
  expect(Buffer.from(found?.payloads ?? [])).toEqual(Buffer.concat(orders.map(({ payload }) => payload)));
  expect(await stretch("a", 0n, 5n, 1_000)).toMatchObject({
    predecessor: undefined,
    all: 5,
  });
  expect(await stretch("a", 300n, 400n, 1_000)).toBeUndefined();
  expect(await stretch("a", 10n, 300n, 119)).toBeUndefined();
  // Far too large: the connection is given up, and the next read has another.
  expect(await stretch("a", 10n, 300n, 10)).toBeUndefined();
  expect(await stretch("b", 10n, 300n, 1_000)).toBeUndefined();
  expect(await reader.subject("a", orderRef('{"\\,x'))).toBeUndefined();
  await reader.close();
});

test("a stretch that is far too large is given up while it comes, and not read again", async () => {
  await using database = await createTestDatabase();
  await createTenant(database, "a");
  await database.sql(
    `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
     select 'a', n, 'e' || n, $1::int, 's' || n, 1, '', now(), decode(repeat('ab', 10000), 'hex') from generate_series(1, 300) n`,
    [SubjectKind.ORDER],
  );
  const connection = new Connection({ url: database.appUrl, applicationName: "test" });
  const reader = new Reader([connection]);
  const flights = vi.spyOn(connection, "flight");
  const query = { tenant: "a", kind: SubjectKind.ORDER, after: 1n, upTo: 300n, limit: 300, maxBytes: 20_000 };
  expect(await reader.stretch(query)).toBeUndefined();
  const copies = flights.mock.calls.flatMap(([statements]) => statements).filter(({ text }) => text.startsWith("copy"));
  expect(copies).toHaveLength(1);
  await reader.close();
});
