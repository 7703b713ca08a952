import type { DescMessage } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { OrderCreatedSchema, ReportedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type ReportStatusResponse, ReportStatusResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import type { FlowRef } from "../../src/domain/status-flow.ts";
import { type Decide, type Draft, orderRef, SubjectKind } from "../../src/domain/subject.ts";
import type { Command } from "../../src/journal/journal.ts";

type Answer = typeof ReportStatusResponseSchema;

export interface Ask {
  readonly tenant: string;
  readonly order: string;
  /** The report's id; undefined: only create the order, if it is not there. */
  readonly sourceId?: string;
  readonly requestId?: string;
  /** What was asked under the request id. */
  readonly asked?: string;
}

/** A command that creates the order if it is not there, and otherwise or besides records a report of it. */
export function ask(what: Ask): Command<Answer> {
  const ref = orderRef(what.order);
  return command(what, (load, now) => {
    const drafts: Draft[] = [];
    if (!load(ref)) drafts.push({ ref, change: { case: "orderCreated", value: create(OrderCreatedSchema, {}) } });
    if (what.sourceId !== undefined) {
      const report = {
        report: {
          source: "TEST",
          sourceId: what.sourceId,
          status: "PROCESSING",
          classifier: Classifier.ACTUAL,
          occurredAt: { instant: now },
        },
        recordedAt: now,
      };
      drafts.push({ ref, change: { case: "reported", value: create(ReportedSchema, { report }) } });
    }
    return { drafts, answer: (after) => answer(after.position(ref), versionOf(after.subject(ref))) };
  });
}

/** A command that creates the order in a flow. */
export function starting(what: Ask, { id: flowId, version: flowVersion }: FlowRef): Command<Answer> {
  const ref = orderRef(what.order);
  const value = create(OrderCreatedSchema, { flowId, flowVersion });
  return command(what, () => ({
    drafts: [{ ref, change: { case: "orderCreated", value } }],
    answer: (after) => answer(after.position(ref), versionOf(after.subject(ref))),
  }));
}

/** A command whose decision is the caller's. */
export function command(what: Ask, decide: Decide<ReportStatusResponse>): Command<Answer> {
  return {
    tenant: what.tenant,
    actor: "key_test",
    subjects: [orderRef(what.order)],
    request: what.requestId
      ? { key: pad(what.requestId), hash: pad(what.asked ?? JSON.stringify([what.order, what.sourceId])) }
      : undefined,
    bytes: 100,
    decide,
    answer: ReportStatusResponseSchema,
  };
}

export function refusing(what: Ask): Command<Answer> {
  return command(what, () => {
    throw new Refusal(ErrorReason.VERB_ILLEGAL, "not now");
  });
}

/** A command that finds only while it decides that it needs another order, which is there. */
export function needing(what: Ask, other: string): Command<Answer> {
  const needed = orderRef(other);
  const made = ask(what);
  return {
    ...made,
    decide: (load, now) => (load.has(needed) ? made.decide(load, now) : { needs: [needed] }),
  };
}

/** Text that Postgres cannot store: the batch fails in the database, not in its decision. */
export function poisonous(what: Ask): Command<DescMessage> {
  const made = ask({ ...what, order: what.order });
  const ref = orderRef(`${what.order}\0`);
  return {
    ...made,
    subjects: [ref],
    decide: () => ({
      drafts: [{ ref, change: { case: "orderCreated", value: create(OrderCreatedSchema, {}) } }],
      answer: () => answer("", 0n),
    }),
  };
}

/** The same, found out only when the batch is written: a lookup key that Postgres cannot store. */
export function poisonousLate(what: Ask): Command<Answer> {
  const references = [{ type: "PO", value: "\0" }];
  const value = create(OrderCreatedSchema, { references });
  return command(what, () => ({
    drafts: [{ ref: orderRef(what.order), change: { case: "orderCreated", value } }],
    answer: () => answer("", 0n),
  }));
}

function answer(position: string, version: bigint): ReportStatusResponse {
  return create(ReportStatusResponseSchema, { position, version });
}

function versionOf(subject: { kind: number } & object): bigint {
  return subject.kind === SubjectKind.ORDER && "order" in subject ? (subject.order as { version: bigint }).version : 0n;
}

function pad(text: string): Uint8Array {
  return Buffer.from(text.padEnd(16, "_").slice(0, 16));
}
