/** What is administered, and the journal that says so. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { EntityManager, MikroORM } from "@mikro-orm/postgresql";
import type { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { auditJournal } from "../domain/audit-journal.ts";
import { compileOrderFilter } from "../domain/filter.ts";
import type { Extension } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import { type Actor, type AuditEntry, appendAudit, openAuditJournal, type Run } from "../journal/audit-append.ts";
import type { JournalReader } from "../journal/journal.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf, visibilityOf } from "./command.ts";
import { numericCursor, PAGE_BYTES_MAX, pageScope, pageSize } from "./paging.ts";
import { eventsReply } from "./stored-reply.ts";
import { forTenants } from "./unit-of-work.ts";

/** Notes an act of a unit of work: it is appended when the work is done, in the same transaction. */
export type Note = (entry: AuditEntry) => void;

/** Where acts of administration are carried out. */
export interface Audit {
  /**
   * A unit of work of one tenant, with the acts that it notes: both are committed, or neither. Rejects as `forTenants`.
   */
  administer<T>(
    call: Pick<Call, "principal" | "address">,
    tenant: string,
    work: (em: EntityManager, note: Note) => Promise<T>,
  ): Promise<T>;
}

/** @param committed told of audit events once they are durable, as of those of the group commit */
export function createAudit(orm: MikroORM, committed: (extension: Extension) => void): Audit {
  return {
    async administer(call, tenant, work) {
      const entries: AuditEntry[] = [];
      let extension: Extension | undefined;
      const done = await forTenants(orm, [tenant], async (em) => {
        const result = await work(em, (entry) => void entries.push(entry));
        if (entries.length > 0) {
          await em.flush(); // first what is done: the audit journal is locked last
          extension = await appendAudit(runOn(em), tenant, actorOf(call), entries);
        }
        return result;
      });
      if (extension !== undefined) committed(extension);
      return done;
    },
  };
}

/** `TenantService.CreateKey`. */
export function actOf(method: DescMethod): string {
  return `${method.parent.name}.${method.name}`;
}

/** Who acts in a call. */
export function actorOf({ principal, address }: Pick<Call, "principal" | "address">): Actor {
  return { id: principal.id, address: address ?? "" };
}

function runOn(em: EntityManager): Run {
  return async (text, values) => {
    const rows = await em.execute<Record<string, string>[]>(text, [...values]);
    return Array.isArray(rows) ? rows.map((row) => Object.values(row)) : [];
  };
}

type AuditReads = Pick<Implementation<typeof TenantService>, "listAuditEvents" | "watchAudit">;

/** Reading the audit journal. Who may is decided before, by `authorise`. */
export function auditReads(parts: {
  readonly orm: MikroORM;
  readonly journal: Pick<JournalReader, "events" | "heads">;
  readonly pageTokens: PageTokens;
}): AuditReads {
  const { orm, journal, pageTokens } = parts;
  return {
    async listAuditEvents({ pageSize: asked, pageToken }, call) {
      const tenant = tenantOf(call);
      const key = auditJournal(tenant);
      const scope = pageScope(tenant, "ListAuditEvents", "");
      const after = pageToken === "" ? 0n : numericCursor(pageTokens.decode(scope, pageToken));
      const head = (await journal.heads([key])).get(key);
      if (head === undefined) return eventsReply([], ""); // nothing was administered yet
      const from = (after > head.floor ? after : head.floor) + 1n;
      const events = await journal.events(key, from, pageSize(asked), PAGE_BYTES_MAX);
      const last = events.at(-1)?.revision ?? head.revision;
      return eventsReply(
        events.map((event) => event.payload),
        last < head.revision ? pageTokens.encode(scope, String(last)) : "",
      );
    },

    async watchAudit({ position }, call) {
      const tenant = tenantOf(call);
      // A watch follows a journal that is there.
      await forTenants(orm, [tenant], (em) => openAuditJournal(runOn(em), tenant));
      return {
        tenant: auditJournal(tenant),
        credential: call.principal.id,
        expiresAtMs: call.principal.kind === "service-owner" ? undefined : call.principal.expiresAtMs,
        kind: SubjectKind.ADMINISTRATION,
        visibility: visibilityOf(call.principal),
        filter: compileOrderFilter(undefined),
        start: position === "" ? { from: "now" } : { from: "position", position },
        mode: "ALL",
      };
    },
  };
}
