import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { BookingSchema, BookingState, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { OrderSchema, Phase } from "../../gen/leadline/v1/order_pb.ts";
import { encodeEvents } from "../../src/wire/event-view.ts";
import type { TestDatabase } from "../support/database.ts";

export const ORDERS = 16_000;
const BOOKINGS = 8_000;
/** The revision of the last event. */
export const HEAD = BigInt(2 * (ORDERS + BOOKINGS));

/**
 * Puts a tenant's journal and rows into the database, in which what is rare is old and what is common is everywhere. First
 * come the orders, then the bookings; then each of them has one more event. Rare is what only the first 20 have.
 */
export async function layRareAndCommon(database: TestDatabase, tenant: string): Promise<void> {
  const all = ORDERS + BOOKINGS;
  const recordedAt = timestampFromDate(new Date("2026-03-01T12:00:00Z"));
  const payload = encodeEvents([
    create(EventSchema, { revision: 100n, recordedAt, change: { case: "orderCreated", value: {} } }),
  ]);
  const order = toBinary(OrderSchema, create(OrderSchema, { id: "ord-1", holdReason: "x".repeat(200) }));
  const booking = toBinary(BookingSchema, create(BookingSchema, { id: "bkg-1", requestReference: "x".repeat(200) }));
  const id = `case when n <= ${ORDERS} then 'ord-' || n else 'bkg-' || n - ${ORDERS} end`;
  const kind = `case when n <= ${ORDERS} then 1 else 2 end`;
  const carrier = `case when n % ${ORDERS} <= 20 then 'RARE' when n % 2 = 0 then 'MAEU' else 'HLCU' end`;
  const ofFlow = `n <= ${ORDERS} and n % 3 = 0`;
  await database.sql(
    `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
     select $1, n + (v - 1) * $2::int, lpad((n + (v - 1) * $2::int)::text, 13, '0'), ${kind}, ${id}, v,
            case when n > ${ORDERS} then ${carrier} else '' end, $3, $4
     from generate_series(1, 2) v, generate_series(1, $2::int) n`,
    [tenant, all, new Date("2026-03-01T12:00:00Z"), Buffer.from(payload)],
  );
  await database.sql(
    `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status, stage,
                          space, carrier, summary, details, flow_id, flow_version, ended_at)
     select $1, ${kind}, ${id}, 2, n, n + $2::int, lpad((n + $2::int)::text, 13, '0'),
            case when n > ${ORDERS} then '' when n <= 20 then 'CANCELLED' when n % 10 = 0 then 'IN_TRANSIT' else 'DELIVERED' end,
            case when n <= ${ORDERS} then case when n <= 20 then ${Phase.CANCELLED} when n % 10 = 0 then ${Phase.IN_TRANSIT}
                                         else ${Phase.DELIVERED} end
                 else case when n <= ${ORDERS + 20} then ${BookingState.RECEIVED} else ${BookingState.COMPLETED} end end,
            case when n <= ${ORDERS} then 0 when n <= ${ORDERS + 20} then ${SpaceVerdict.REQUESTED} else ${SpaceVerdict.FULL} end,
            case when n > ${ORDERS} then ${carrier} else '' end, case when n <= ${ORDERS} then $3::bytea else $4::bytea end, '',
            case when ${ofFlow} then 'mine' else '' end, case when ${ofFlow} then case when n <= 60 then 1 else 2 end else 0 end,
            case when n <= ${ORDERS} and (n <= 20 or n % 10 > 0) then now() end
     from generate_series(1, $2::int) n`,
    [tenant, all, Buffer.from(order), Buffer.from(booking)],
  );
  await database.sql(
    `insert into subject_reference (tenant_id, kind, key, subject_id, created_revision)
     select $1, ${kind}, key, ${id}, n from generate_series(1, $2::int) n,
       lateral unnest(array['PO:' || n, 'CUS:acme', '@CARRIER:' || ${carrier},
                            case when n <= ${ORDERS} then '@BOOKING:bkg-' || n % ${BOOKINGS} else '@ORDER:ord-' || n - ${ORDERS} end]) key`,
    [tenant, all],
  );
  await database.sql(
    "update journal_head set revision = $2::bigint, event_id = lpad($2::bigint::text, 13, '0') where tenant_id = $1",
    [tenant, 2 * all],
  );
}
