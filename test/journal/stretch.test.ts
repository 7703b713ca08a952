import { expect, test } from "vitest";
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
  const reader = new Reader([new Connection({ url: database.appUrl, applicationName: "test" })]);
  const orders = (await reader.events("a", 11n, 90, 1_000_000)).filter(({ kind }) => kind === SubjectKind.ORDER);
  const stretch = await reader.stretch("a", SubjectKind.ORDER, 10n, 300n, 90, 1_000_000);
  expect(stretch).toMatchObject({ predecessor: "e10", all: 90, last: { revision: 100n, eventId: "e100" }, events: 60 });
  expect(Buffer.from(stretch?.payloads ?? [])).toEqual(Buffer.concat(orders.map(({ payload }) => payload)));
  expect(await reader.stretch("a", SubjectKind.ORDER, 0n, 5n, 90, 1_000)).toMatchObject({
    predecessor: undefined,
    all: 5,
  });
  expect(await reader.stretch("a", SubjectKind.ORDER, 300n, 400n, 90, 1_000)).toBeUndefined();
  expect(await reader.stretch("a", SubjectKind.ORDER, 10n, 300n, 90, 179)).toBeUndefined();
  expect(await reader.stretch("b", SubjectKind.ORDER, 10n, 300n, 90, 1_000)).toBeUndefined();
  expect(await reader.subject("a", orderRef('{"\\,x'))).toBeUndefined();
  await reader.close();
});
