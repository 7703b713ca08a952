/** Removing personal data from one order or booking: its row, its history, its answers and its raw items. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  type Booking,
  type BookingDetails,
  BookingDetailsSchema,
  BookingSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { type RedactedText, RedactedTextSchema } from "../../gen/leadline/v1/event_pb.ts";
import { MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { RecordedReport } from "../../gen/leadline/v1/report_pb.ts";
import { calledBooking } from "../domain/booking-effects.ts";
import { loadOrder } from "../domain/order-commands.ts";
import {
  everything,
  fieldPath,
  naming,
  type OnEmptied,
  orderPartyAt,
  type PersonalText,
  personalDataRedacted,
  redactBooking,
  redactEvent,
  redactOrder,
} from "../domain/redaction.ts";
import { type After, type Load, type Subject, SubjectKind, type SubjectRef } from "../domain/subject.ts";
import { appendAudit, type Run } from "../journal/audit-append.ts";
import type { RequestIdentity } from "../journal/journal.ts";
import type { Rewrite } from "../journal/rewriter.ts";
import { actorOf } from "./audit.ts";
import type { Call } from "./call.ts";
import { tenantOf } from "./command.ts";
import { redactedReply } from "./redacted-reply.ts";

/** What is to be removed from one subject, and why. */
export interface Asked<O extends DescMessage> {
  readonly ref: SubjectRef;
  /** Only what names this party; undefined: everything that is personal. */
  readonly party: string | undefined;
  readonly reason: string;
  readonly act: string;
  readonly request: RequestIdentity | undefined;
  readonly schema: O;
  /** Throws where it shall not be, as the subject stands: then nothing has changed. */
  readonly check?: (subject: Subject) => void;
  /** @param events how many were rewritten @param changed whether there was anything to remove */
  readonly answer: (after: After, events: number, changed: boolean) => MessageShape<O>;
}

export function rewriteOf<O extends DescMessage>(call: Call, asked: Asked<O>): Rewrite<O> {
  const { ref, party, reason, act, request } = asked;
  const tenant = tenantOf(call);
  const chosen = party === undefined ? everything : naming(party);
  const emptied = new Emptied(party);
  const raw = new RawItems();
  let rewritten = 0;
  return {
    ...{ tenant, ref, request, actor: call.principal.id, bytes: 0, answer: asked.schema },
    event(event) {
      if (event.change.case === "reported") raw.of(event.change.value.report);
      return redactEvent(event, chosen, emptied.in(event.version));
    },
    checkpoint({ summary, details }) {
      if (ref.kind === SubjectKind.ORDER) {
        const was = { order: fromBinary(OrderSchema, summary), details: fromBinary(OrderDetailsSchema, details) };
        const is = redactOrder(was, chosen, emptied.before);
        if (is === was) return { summary, details };
        return { summary: toBinary(OrderSchema, is.order), details: toBinary(OrderDetailsSchema, is.details) };
      }
      const was = { booking: fromBinary(BookingSchema, summary), details: fromBinary(BookingDetailsSchema, details) };
      const is = redactBooking(was, chosen, emptied.before);
      if (is === was) return { summary, details };
      return { summary: toBinary(BookingSchema, is.booking), details: toBinary(BookingDetailsSchema, is.details) };
    },
    // A party's are gone over all at once, after the subjects.
    ...(party === undefined && { reply: (answer: Uint8Array) => redactedReply(answer, everything, ref) }),
    decide: (events) => (load) => {
      rewritten = events;
      const subject = loaded(load, ref);
      asked.check?.(subject);
      redactSubject(subject, emptied.in(undefined), chosen);
      // Events that were cut told of these; the subject keeps its reports.
      for (const report of subject.details.reports) raw.of(report);
      if (subject.kind === SubjectKind.BOOKING) raw.ofRequest(subject.booking);
      const isClean = emptied.isEmpty && events === 0;
      const change = personalDataRedacted({
        ...{ fields: emptied.fields, events, reason },
        ...(party !== undefined && emptied.toTell(ref, subject)),
      });
      return {
        drafts: isClean ? [] : [{ ref, change: { case: "personalDataRedacted", value: change } }],
        answer: (after) => asked.answer(after, events, !isClean),
      };
    },
    async finish(run) {
      await raw.remove(run, tenant);
      const details = { events: String(rewritten), reason };
      return appendAudit(run, tenant, actorOf(call), [{ act, target: ref.id, details }]);
    },
  };
}

function loaded(load: Load, { kind, id }: SubjectRef): Subject {
  if (kind === SubjectKind.ORDER) return loadOrder(load, id);
  return calledBooking(load, { bookingId: id, visibility: { class: "staff" }, etag: "" });
}

function redactSubject(subject: Subject, onEmptied: OnEmptied, chosen: typeof everything): void {
  if (subject.kind === SubjectKind.ORDER) redactOrder(subject, chosen, onEmptied);
  else redactBooking(subject, chosen, onEmptied);
}

/** What was emptied, and where. */
class Emptied {
  readonly fields = new Set<string>();
  readonly #name: string | undefined;
  /** By path: whether it was the subject's own, the events' versions, and whether it is said of the party itself. */
  readonly #texts = new Map<string, { own: boolean; readonly ofParty: boolean; readonly versions: bigint[] }>();

  /** @param name the party's; undefined: everything goes */
  constructor(name: string | undefined) {
    this.#name = name;
  }

  get isEmpty(): boolean {
    return this.fields.size === 0;
  }

  /** In the event of a version; undefined: in the subject as it stands. */
  in(version: bigint | undefined): OnEmptied {
    return ({ path, party }) => {
      this.fields.add(fieldPath(path));
      const at = this.#texts.get(path) ?? { own: false, ofParty: party === this.#name, versions: [] };
      this.#texts.set(path, at);
      if (version === undefined) at.own = true;
      else at.versions.push(version);
    };
  }

  /** In the state that stands for events that are gone: nobody is told of its texts again. */
  readonly before: OnEmptied = ({ path }: PersonalText) => void this.fields.add(fieldPath(path));

  /** For the event, which tells what was emptied: parties of an order by their places, everything else text by text. */
  toTell({ kind }: SubjectRef, subject: Subject) {
    const parties = new Set<number>();
    const roles = new Set<string>();
    const texts: RedactedText[] = [];
    for (const [path, { own, ofParty, versions }] of this.#texts) {
      const place = kind === SubjectKind.ORDER && ofParty ? orderPartyAt(path) : undefined;
      if (place !== undefined) parties.add(place);
      if (own && ofParty) roles.add(roleAt(subject, path));
      if (own) texts.push(create(RedactedTextSchema, { path }));
      if (versions.length > 0) texts.push(create(RedactedTextSchema, { path, versions }));
    }
    roles.delete("");
    const isWhole = ({ path }: RedactedText) => kind === SubjectKind.ORDER && parties.has(orderPartyAt(path) ?? -1);
    return {
      parties: [...parties].sort((a, b) => a - b),
      partyRoles: [...roles].sort(),
      texts: texts.filter((text) => !isWhole(text)),
      partial: true,
    };
  }
}

/** What the party is whose name was at this path; empty: none's was. */
function roleAt(subject: Subject, path: string): string {
  const [, within, place] = /^(?:(request|amendment)\.)?parties\[(\d+)\]\.name$/.exec(path) ?? [];
  if (place === undefined) return "";
  if (subject.kind === SubjectKind.ORDER) return subject.details.parties[Number(place)]?.role ?? "";
  const { request, amendment }: BookingDetails = subject.details;
  return (within === "amendment" ? amendment : request)?.parties[Number(place)]?.role ?? "";
}

/** The raw items that a subject's reports came in with, and those that wait on the work list under the same ids. */
class RawItems {
  readonly #reports = new Map<string, object>();
  #booking: Booking | undefined;

  of(recorded: RecordedReport | undefined): void {
    if (recorded?.report === undefined) return;
    const { source, sourceId } = recorded.report;
    this.#reports.set(JSON.stringify([source, sourceId]), { source, source_id: sourceId });
  }

  ofRequest(booking: Booking): void {
    this.#booking = booking;
  }

  async remove(run: Run, tenant: string): Promise<void> {
    for (const table of ["inbound_message", "work_item"]) {
      await run(
        `delete from ${table} m using jsonb_to_recordset(?::jsonb) as x (source text, source_id text)
         where m.tenant_id = ? and m.source_id = x.source_id
           and (m.carrier = x.source or position(x.source in m.item) > 0)`,
        [JSON.stringify([...this.#reports.values()]), tenant],
      );
    }
    if (this.#booking === undefined) return;
    // A request that came in as a message says in its result which booking it made.
    const { id, requestReference } = this.#booking;
    await run(
      `delete from inbound_message where tenant_id = ? and source_id in ('', ?)
         and format in (${MessageFormat.UNSPECIFIED}, ${MessageFormat.DCSA_BOOKING_2})
         and position(convert_to(?, 'UTF8') in result) > 0`,
      [tenant, requestReference, id],
    );
  }
}
