/** Removing what names somebody where it is not an order's or a booking's own, and finding where it stays. */
import type { EntityManager, MikroORM } from "@mikro-orm/postgresql";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { auditJournal } from "../domain/audit-journal.ts";
import { naming } from "../domain/redaction.ts";
import { type Audit, actOf } from "./audit.ts";
import type { Call } from "./call.ts";
import { tenantOf } from "./command.ts";
import { redactedReply } from "./redacted-reply.ts";
import { forTenants } from "./unit-of-work.ts";

/** What RedactParty does beside orders and bookings, in the caller's tenant. */
export interface Elsewhere {
  /** Removes the raw items in whose text a name stands. @returns how many */
  removeRaw(call: Call, name: string, reason: string): Promise<number>;
  /** Removes a party's personal data from the answers that are kept for repeated requests. */
  cleanAnswers(call: Call, name: string, reason: string): Promise<void>;
  /** Where a name's letters stand and stay, at most `STILL_MAX` places. */
  stillNaming(call: Call, name: string): Promise<string[]>;
}

/** Items that one transaction looks through. */
const PORTION = 500;
/** Answers that one transaction looks through; they are small. */
const ANSWERS = 5_000;
/** Places that `stillNaming` lists. */
const STILL_MAX = 100;

const TABLES = [
  { table: "inbound_message", at: "received_at", beside: "result" },
  { table: "work_item", at: "created_at", beside: "convert_to(message, 'UTF8')" },
] as const;

const act = actOf(OrderService.method.redactParty);

/** Each portion that removed something is an act in the audit journal. */
export function redactionElsewhere(orm: MikroORM, audit: Audit): Elsewhere {
  return {
    async removeRaw(call, name, reason) {
      const tenant = tenantOf(call);
      const texts = JSON.stringify(writtenForms(name));
      let removed = 0;
      for (const { table, at, beside } of TABLES) {
        for (let after: Place | undefined = { at: "-infinity", id: "" }; after !== undefined; ) {
          const from: Place = after;
          const portion = await audit.administer(call, tenant, async (em, note) => {
            const found = await removePortion(em, { tenant, table, at, beside, from, texts });
            if (found.removed > 0) note({ act, target: tenant, details: { [table]: String(found.removed), reason } });
            return found;
          });
          removed += portion.removed;
          after = portion.last;
        }
      }
      return removed;
    },

    async cleanAnswers(call, name, reason) {
      const tenant = tenantOf(call);
      for (let after: string | undefined = ""; after !== undefined; ) {
        const from: string = after;
        after = await audit.administer(call, tenant, async (em, note) => {
          const { rewritten, last } = await cleanPortion(em, tenant, from, name);
          if (rewritten > 0) note({ act, target: tenant, details: { request: String(rewritten), reason } });
          return last;
        });
      }
    },

    stillNaming(call, name) {
      const tenant = tenantOf(call);
      return forTenants(orm, [tenant, auditJournal(tenant)], async (em) => {
        const places: string[] = [];
        for (const { text, scope } of STILL) {
          if (places.length === STILL_MAX) break;
          const rows = await em.execute<{ place: string }[]>(
            `${text} order by place limit ${STILL_MAX - places.length}`,
            [...[name, scope === "audit" ? auditJournal(tenant) : tenant]],
          );
          places.push(...rows.map(({ place }) => place));
        }
        return places;
      });
    },
  };
}

const IN = (...columns: string[]) => columns.map((column) => `position(n.name in ${column}) > 0`).join(" or ");
const BYTES = (column: string) => `position(convert_to(n.name, 'UTF8') in ${column}) > 0`;
const N = "cross join (select ?::text as name) n";

/** Columns: the place. Values: the name, the tenant or its audit journal. */
const STILL: readonly { readonly text: string; readonly scope?: "audit" }[] = [
  { text: `select 'tenant' as place from tenant t ${N} where t.id = ? and (${IN("t.name", "t.state_reason")})` },
  {
    text: `select 'key/' || k.id as place from api_key k ${N} where k.tenant_id = ? and (${IN("k.name", "k.reason")})`,
  },
  {
    text: `select 'status_flow/' || f.id as place from status_flow f ${N} where f.tenant_id = ?
           and (${IN("f.name")} or ${BYTES("coalesce(f.draft, '')")} or exists (
             select from status_flow_version v where v.tenant_id = f.tenant_id and v.flow_id = f.id
               and (${BYTES("v.definition")} or ${IN("v.published_by")})))`,
  },
  {
    text: `select distinct 'code_mapping/' || m.code as place from code_mapping m ${N} where m.tenant_id = ?
           and (${IN("m.code", "m.carrier", "m.milestone")})`,
  },
  {
    text: `select 'audit/' || e.revision as place from event e ${N} where ${BYTES("e.payload")} and e.tenant_id = ?`,
    scope: "audit",
  },
  {
    text: `select distinct 'request_answer' as place from request r ${N} where r.tenant_id = ? and ${BYTES("r.answer")}`,
  },
];

interface Place {
  readonly at: string;
  readonly id: string;
}

/** @returns how many answers were rewritten, and after which key it goes on; undefined: there are no more */
async function cleanPortion(
  em: EntityManager,
  tenant: string,
  after: string,
  name: string,
): Promise<{ rewritten: number; last: string | undefined }> {
  const rows = await em.execute<{ key: string; answer: string | null }[]>(
    `select encode(key, 'hex') as key,
       case when position(convert_to(?, 'UTF8') in answer) > 0 then encode(answer, 'hex') end as answer
     from request where tenant_id = ? and key > decode(?, 'hex') order by request.key limit ${ANSWERS}`,
    [name, tenant, after],
  );
  const chosen = naming(name);
  let rewritten = 0;
  for (const { key, answer } of rows) {
    const clean = answer === null ? undefined : redactedReply(Buffer.from(answer, "hex"), chosen);
    if (clean === undefined) continue;
    await em.execute(`update request set answer = decode(?, 'hex') where tenant_id = ? and key = decode(?, 'hex')`, [
      ...[Buffer.from(clean).toString("hex"), tenant, key],
    ]);
    rewritten += 1;
  }
  return { rewritten, last: rows.length === ANSWERS ? rows.at(-1)?.key : undefined };
}

async function removePortion(
  em: EntityManager,
  {
    tenant,
    table,
    at,
    beside,
    from,
    texts,
  }: {
    readonly table: string;
    readonly at: string;
    /** What is kept beside the item, as bytes. */
    readonly beside: string;
    readonly tenant: string;
    readonly from: Place;
    readonly texts: string;
  },
): Promise<{ removed: number; last: Place | undefined }> {
  const [row] = await em.execute<{ removed: string; seen: string; at: string | null; id: string | null }[]>(
    `with page as materialized (
       select id, ${at} as at, item, ${beside} as beside from ${table}
       where tenant_id = ? and (${at}, id) > (?::timestamptz, ?) order by ${at}, id limit ${PORTION}),
     gone as (
       delete from ${table} m using page
       where m.id = page.id and m.tenant_id = ?
         and exists (select from jsonb_array_elements_text(?::jsonb) as t (text)
           where position(t.text in page.item) > 0 or position(convert_to(t.text, 'UTF8') in page.beside) > 0)
       returning 1),
     last as (select at, id from page order by at desc, id desc limit 1)
     select (select count(*) from gone) as removed, (select count(*) from page) as seen,
       (select at::text from last) as at, (select id from last) as id`,
    [tenant, from.at, from.id, tenant, texts],
  );
  const last = row && row.at !== null && row.id !== null && Number(row.seen) === PORTION;
  return { removed: Number(row?.removed ?? 0), last: last ? { at: row.at ?? "", id: row.id ?? "" } : undefined };
}

/** A text as items may have it: plain, as JSON has it, and as JSON of ASCII alone has it. U+0000 is kept as U+FFFD. */
function writtenForms(name: string): string[] {
  const plain = name.replaceAll("\0", "\ufffd");
  const json = JSON.stringify(plain).slice(1, -1);
  const escaped = (upper: boolean) =>
    // The units of UTF-16, as JSON's escapes are.
    json.replace(/[\u0080-\uffff]/g, (unit) => {
      const hex = unit.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${upper ? hex.toUpperCase() : hex}`;
    });
  return [...new Set([plain, json, escaped(false), escaped(true)])];
}
