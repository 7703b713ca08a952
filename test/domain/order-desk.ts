import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { OrderLineSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  CancelOrderRequestSchema,
  CreateOrderRequestSchema,
  type ReportStatusResponse,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { LocalTimeSchema, UnitKind, UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, type Flag, FlagSchema, type Report, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { evolveOrder } from "../../src/domain/order.ts";
import {
  decideCancelOrder,
  decideCreateOrder,
  decideReportStatus,
  decideRetractReport,
} from "../../src/domain/order-commands.ts";
import type { ReportTaking } from "../../src/domain/order-reports.ts";
import type { Retraction } from "../../src/domain/reports.ts";
import { STANDARD_FLOW, standardOnly } from "../../src/domain/standard-flow.ts";
import type { StatusFlow } from "../../src/domain/status-flow.ts";
import {
  type Change,
  type Decide,
  type Flows,
  type OrderSubject,
  orderRef,
  type Recorded,
} from "../../src/domain/subject.ts";

/** Second 0 of the tests' clock: 2026-03-01T00:00:00Z. */
const START = 1_772_323_200n;
export const ORDER_ID = "ord-1";

/** The time `minutes` after the start of the tests' clock. */
export function at(minutes: number): Timestamp {
  return create(TimestampSchema, { seconds: START + BigInt(minutes) * 60n });
}

export function localAt(minutes: number) {
  return create(LocalTimeSchema, { instant: at(minutes) });
}

/** A report of something that happened at a minute, and that its source said at that minute. */
export function report(
  sourceId: string,
  status: string,
  minutes: number,
  more: MessageInitShape<typeof ReportSchema> = {},
): Report {
  return create(ReportSchema, {
    source: "TMS",
    sourceId,
    status,
    classifier: Classifier.ACTUAL,
    occurredAt: localAt(minutes),
    sourceUpdatedAt: at(minutes),
    ...more,
  });
}

export function estimate(sourceId: string, status: string, saidAt: number, expected: number): Report {
  return report(sourceId, status, expected, { classifier: Classifier.ESTIMATED, sourceUpdatedAt: at(saidAt) });
}

export function retraction(sourceId: string, minutes: number | undefined): Retraction {
  return {
    source: "TMS",
    sourceId,
    reason: "mistaken",
    sourceUpdatedAt: minutes === undefined ? undefined : at(minutes),
  };
}

export function line(id: string, quantity: number) {
  return create(OrderLineSchema, { id, sku: id, quantity: BigInt(quantity) });
}

export function pieces(lineId: string, quantity: number) {
  return { lineId, quantity: BigInt(quantity) };
}

export function unit(id: string, ...contents: ReturnType<typeof pieces>[]) {
  return create(UnitSchema, { id, kind: UnitKind.PIECE, contents });
}

export function flagNames(flags: readonly Flag[]): string[] {
  return flags.map((flag) => FlagSchema.value[flag]?.localName ?? String(flag));
}

const KEEP: ReportTaking = { strict: true, refuseIfUnfit: false, flags: [] };

/** One order, decided on and evolved command by command, with the changes that made it. */
export class OrderDesk {
  subject: OrderSubject | undefined;
  readonly history: { readonly change: Change; readonly recorded: Recorded }[] = [];
  #minutes: number;
  readonly #flows: Flows;

  /** @param startMinutes the minute of the first command; every further one is a minute later */
  constructor(startMinutes = 1_000, flows: Flows = standardOnly) {
    this.#minutes = startMinutes;
    this.#flows = flows;
  }

  /** @param flow the order's; default: the standard flow */
  static of(
    request: MessageInitShape<typeof CreateOrderRequestSchema> = {},
    startMinutes = 1_000,
    flow: StatusFlow = STANDARD_FLOW,
  ): OrderDesk {
    const desk = new OrderDesk(startMinutes, () => flow);
    desk.run(decideCreateOrder(ORDER_ID, create(CreateOrderRequestSchema, request), flow.ref));
    return desk;
  }

  get order() {
    return this.known.order;
  }

  get details() {
    return this.known.details;
  }

  get known(): OrderSubject {
    if (this.subject === undefined) throw new Error("there is no order yet");
    return this.subject;
  }

  run<A>(decide: Decide<A>): A {
    const now = at(this.#minutes);
    this.#minutes += 1;
    const load = Object.assign(() => this.subject, { has: () => true });
    const decision = decide(load, now);
    if ("needs" in decision) throw new Error("an order's command needs no other subject");
    for (const draft of decision.drafts) this.apply(draft.change, now);
    return decision.answer({ subject: () => this.known, position: () => `1-${this.history.length}` });
  }

  apply(change: Change, recordedAt: Timestamp): void {
    const recorded = { version: BigInt(this.history.length + 1), recordedAt };
    this.subject = evolveOrder(this.subject, change, recorded, orderRef(ORDER_ID).id, this.#flows);
    this.history.push({ change, recorded });
  }

  report(one: Report, taking: Partial<ReportTaking> = {}): ReportStatusResponse {
    return this.run(decideReportStatus(ORDER_ID, one, { ...KEEP, ...taking }));
  }

  retract(one: Retraction) {
    return this.run(decideRetractReport(ORDER_ID, one));
  }

  cancel() {
    return this.run(
      decideCancelOrder(create(CancelOrderRequestSchema, { orderId: ORDER_ID, reason: "no longer needed" })),
    );
  }
}
