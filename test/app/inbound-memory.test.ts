import { expect, test } from "vitest";
import { InboundMemory } from "../../src/app/inbound-memory.ts";
import { createTenant, openTestOrm } from "../support/database.ts";
import { shared } from "../support/shared.ts";

const { database, orm } = await shared(openTestOrm());

test("inbound messages older than each tenant's days are forgotten, and younger ones are kept", async () => {
  for (const id of ["t1", "t2", "t3"]) await createTenant(database, id);
  await database.sql(`update tenant set settings = '{"inboundDays": 3}' where id = 't2'`);
  await database.sql(
    `insert into inbound_message (id, tenant_id, format, carrier, source_id, item, actor, result, received_at)
     select id || '_' || days || '_' || n, id, 0, '', days::text, '{}', '', '', now() - make_interval(days => days) - interval '1 minute'
     from tenant, generate_series(1, 8) as days, generate_series(1, 4000) n where id <> 't3' or days = 8`,
  );
  const memory = new InboundMemory(orm, {
    daysOf: ({ settings }) => settings.inboundDays || 7,
    onError: (error) => {
      throw error;
    },
  });
  await memory.forget();
  const left = await database.sql(
    "select tenant_id, max(source_id) as days, count(*)::int as messages from inbound_message group by 1 order by 1",
  );
  expect(left).toEqual([
    { tenant_id: "t1", days: "6", messages: 24_000 },
    { tenant_id: "t2", days: "2", messages: 8_000 },
  ]);
});
