import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { AdministeredSchema, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { auditJournal } from "../domain/audit-journal.ts";
import type { Extension, Place, StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import { drawCharacters } from "../wire/draw-id.ts";
import { encodeEvents } from "../wire/event-view.ts";
import { staffPosition } from "../wire/position.ts";

/*
 * The audit journal of a tenant is a journal like any other, under a key of its own: revisions, positions, heads and watches
 * are those of every journal. It is not written by the group commit but inside the transaction of the act itself, so there is
 * no act without its event and no event without its act. Its head is locked last and for a few statements, by whoever acts;
 * nobody who waits for it holds another journal's head that it would wait for.
 */

/** One act, as its event says it. Nothing in it is a secret. */
export interface AuditEntry {
  /** A method (`TenantService.CreateKey`), or `SUPPORT_ACCESS`. */
  readonly act: string;
  /** What it was done to: a key's, a flow's, an order's or the tenant's id. */
  readonly target: string;
  readonly details?: Readonly<Record<string, string>>;
}

/** Who acts. */
export interface Actor {
  readonly id: string;
  /** Without its port; empty: it is not known. */
  readonly address: string;
}

/** One statement in the caller's transaction, with `?` in place of its values. Rows come as their columns, all of them text. */
export type Run = (text: string, values: readonly (string | number)[]) => Promise<readonly (readonly string[])[]>;

/** The shape of the events that this release writes. */
const EVENT_SHAPE = 1;

const MICROSECONDS = (column: string) => `((extract(epoch from ${column}) * 1000000)::bigint)::text`;

/** Makes the audit journal of a tenant that has none yet. Row-level security shows it for the rest of the transaction. */
export async function openAuditJournal(run: Run, tenant: string): Promise<void> {
  const journal = auditJournal(tenant);
  await run(
    `select set_config('app.tenants', concat_ws(',', nullif(current_setting('app.tenants', true), ''), ?::text), true) as scope`,
    [journal],
  );
  await run(
    `insert into journal_head (tenant_id, journal_id, revision, event_id, recorded_at)
     select ?::text, j.id, 0, j.id, clock_timestamp() from (values (?::text)) as j (id)
     on conflict (tenant_id) do nothing returning tenant_id`,
    [journal, drawCharacters(13)],
  );
}

/**
 * Appends the events of one command, inside the caller's transaction. Its head stays locked until the transaction ends.
 * @returns what is to be told once the transaction is committed
 */
export async function appendAudit(
  run: Run,
  tenant: string,
  actor: Actor,
  entries: readonly AuditEntry[],
): Promise<Extension> {
  const journal = auditJournal(tenant);
  await openAuditJournal(run, tenant);
  const [head] = await run(
    `select revision::text, event_id, ${MICROSECONDS("recorded_at")} as us from journal_head where tenant_id = ? for update`,
    [journal],
  );
  if (head === undefined) throw new Error(`the audit journal of "${tenant}" is not there`);
  // A statement of its own, so that it is read when the lock is held.
  const [clock] = await run(`select ${MICROSECONDS("clock_timestamp()")} as us`, []);
  const [revision = "0", eventId = "", headUs = "0"] = head;
  const previous: Place = { revision: BigInt(revision), eventId };
  const us = [BigInt(headUs), BigInt(clock?.[0] ?? 0)].reduce((a, b) => (a > b ? a : b));
  const commandId = drawCharacters(13);
  const events: StoredEvent[] = [];
  for (const [index, entry] of entries.entries()) {
    const place = { revision: previous.revision + BigInt(index) + 1n, eventId: drawCharacters(13) };
    const [last] = await run(
      `select coalesce(max(version), 0)::text as version from event
       where tenant_id = ? and kind = ? and subject_id = ?`,
      [journal, SubjectKind.ADMINISTRATION, entry.target],
    );
    const version = BigInt(last?.[0] ?? 0) + 1n;
    const command = { id: commandId, index, count: entries.length };
    const event = stored(entry, actor, { place, version, command, recordedAt: toTimestamp(us) });
    await run(
      `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
       values (?, ?::bigint, ?, ?, ?, ?::bigint, '', ${fromMicroseconds("?::bigint")}, decode(?, 'hex'))`,
      [
        ...[journal, String(place.revision), place.eventId, SubjectKind.ADMINISTRATION, entry.target, String(version)],
        ...[String(us), Buffer.from(event.payload).toString("hex")],
      ],
    );
    events.push(event);
  }
  const end = events.at(-1) ?? previous;
  await run(
    `update journal_head set revision = ?::bigint, event_id = ?, recorded_at = ${fromMicroseconds("?::bigint")}
     where tenant_id = ?`,
    [String(end.revision), end.eventId, String(us), journal],
  );
  return { tenant: journal, previous, events };
}

function stored(
  { act, target, details }: AuditEntry,
  actor: Actor,
  at: {
    readonly place: Place;
    readonly version: bigint;
    readonly command: { id: string; index: number; count: number };
    readonly recordedAt: Timestamp;
  },
): StoredEvent {
  const { place, version, command, recordedAt } = at;
  const event = create(EventSchema, {
    ...{ revision: place.revision, position: staffPosition(place), recordedAt, subjectId: target, version },
    ...{ actor: actor.id, shape: EVENT_SHAPE, command },
    change: {
      case: "administered",
      value: create(AdministeredSchema, { act, target, details: { ...details }, address: actor.address }),
    },
  });
  const kind = SubjectKind.ADMINISTRATION;
  return { ...place, kind, subjectId: target, version, carrier: "", payload: encodeEvents([event]) };
}

function fromMicroseconds(value: string): string {
  return `timestamptz 'epoch' + ${value} * interval '1 microsecond'`;
}

function toTimestamp(us: bigint): Timestamp {
  return create(TimestampSchema, { seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1_000 });
}
