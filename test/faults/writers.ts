import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService, type ReportStatusResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import { at, oceanConfirmation, oceanRequest } from "../interop/parts.ts";
import { CallFailed, type Calls, isRefusal } from "./callers.ts";
import type { Entry, Known, Ledger } from "./ledger.ts";

/** A tenant of the run. */
export interface Tenant {
  readonly id: string;
  readonly journalId: string;
  /** The id of the viewer's key. */
  readonly viewerId: string;
  readonly keys: { readonly operator: string; readonly viewer: string; readonly [carrier: string]: string };
}

export const CARRIERS = ["MAEU", "HLCU"] as const;
const STATUSES = ["PROCESSING", "BOOKED", "READY", "IN_TRANSIT", "ARRIVED", "OUT_FOR_DELIVERY", "DELIVERED"];

/** The deadline of a very large call: one that is sent again while the first is still worked on only adds to the work. */
const MUCH_MS = 30_000;

/** What all writers share. */
export interface Desk {
  readonly calls: Calls;
  readonly ledger: Ledger;
  readonly random: () => number;
  /** Events that each tenant's writers make in a second, about. */
  readonly rate: number;
  /** How often the database was replaced so far. */
  readonly failovers: () => number;
  readonly onWrong: (what: string) => void;
}

/** How a command is sent, and whether an attempt of it came to no answer: then even a refusal does not say that it has no effect. */
interface Attempts {
  readonly repeatable: boolean;
  readonly attemptMs?: number | undefined;
  isSilent: boolean;
}

interface Booking {
  readonly id: string;
  readonly carrier: string;
  step: number;
}

/** One caller after the other does what a tenant's systems do: creates orders, reports on them, books space. */
export class Writer {
  readonly tenant: Tenant;
  readonly #desk: Desk;
  readonly #orders: string[] = [];
  readonly #held = new Set<string>();
  readonly #bookings: Booking[] = [];
  #stopping = false;
  #running: Promise<void> = Promise.resolve();
  #paused: Promise<void> | undefined;

  constructor(tenant: Tenant, desk: Desk) {
    this.tenant = tenant;
    this.#desk = desk;
  }

  /** Orders that there are: the first are the oldest. */
  get orders(): readonly string[] {
    return this.#orders;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  /** Lets the calls in flight come to their end, and sends no more until the promise resolves. */
  pause(until: Promise<void>): void {
    this.#paused = until;
  }

  /** Creates an order; answers with its id, or undefined when that did not succeed in 10 s. */
  async create(repeatable = true): Promise<string | undefined> {
    const entry = this.#desk.ledger.open(this.tenant.id, "CreateOrder", "PO");
    const request = {
      orderId: entry.token,
      references: [{ type: "PO", value: entry.token }],
      lines: [{ id: "1", sku: "LAMP-9", quantity: 25n }],
    };
    const made = await this.#send(
      entry,
      OrderService.method.createOrder,
      request,
      this.tenant.keys.operator,
      repeatable,
    );
    if (!made) return undefined;
    this.#orders.push(entry.token);
    return entry.token;
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      await this.#paused;
      const events = await this.#act();
      await new Promise((resolve) => setTimeout(resolve, (1_000 * events * 2 * this.#desk.random()) / this.#desk.rate));
    }
  }

  /** @returns about how many events it made */
  async #act(): Promise<number> {
    const draw = this.#desk.random();
    if (this.#orders.length < 20 || draw < 0.06) return (await this.create(this.#isRepeatable())) ? 1 : 0.5;
    if (draw < 0.46) {
      const count = 2 + Math.floor(this.#desk.random() ** 2 * 120);
      return this.#reportMany(Array.from({ length: count }, () => this.#order()));
    }
    if (draw < 0.7) return this.#report();
    if (draw < 0.8) return this.#holdOrRelease();
    return this.#book();
  }

  /** A large batch of long reports, more than the buffers of a connection hold, of all orders alike: none is full of them. */
  async tellMuch(): Promise<void> {
    const newest = this.#newest();
    const orders = Array.from({ length: 400 }, (_, i) => newest[i % newest.length] ?? "");
    await this.#reportMany(orders, "x".repeat(1_500), MUCH_MS);
  }

  async #reportMany(orders: readonly string[], remark = "", attemptMs?: number): Promise<number> {
    const entries: Entry[] = [];
    const items = orders.map((orderId) => {
      const entry = this.#desk.ledger.open(this.tenant.id, "BatchReportStatus", "rep");
      entries.push(entry);
      return { ...this.#reportOf(entry, orderId, remark), requestId: entry.token };
    });
    const { batchReportStatus } = OrderService.method;
    const attempts = { repeatable: true, attemptMs, isSilent: false };
    const answer = await this.#attempt(batchReportStatus, { items }, this.tenant.keys.operator, attempts);
    const isCertain = !attempts.isSilent;
    for (const [i, entry] of entries.entries()) {
      const result = answer instanceof CallFailed ? undefined : answer.results[i]?.result;
      const { reason = "", message = "" } = result?.case === "error" ? result.value : {};
      if (result?.case === "response") this.#desk.ledger.settle(entry, "acked", placeIn(result.value));
      else if (isRefusal(reason)) this.#refused(entry, reason, message, isCertain);
      else if (answer instanceof CallFailed && answer.isRefusal)
        this.#desk.ledger.settle(entry, "refused", { isCertain });
      else this.#desk.ledger.settle(entry, "unknown");
      if (reason === "INTERNAL") this.#desk.onWrong(`${entry.what} ${entry.token} was answered ${message}`);
    }
    return orders.length;
  }

  /** One report, and sometimes a look, through whichever instance, whether it is there. */
  async #report(): Promise<number> {
    const entry = this.#desk.ledger.open(this.tenant.id, "ReportStatus", "rep");
    const orderId = this.#order();
    const failovers = this.#desk.failovers();
    const request = this.#reportOf(entry, orderId);
    const { operator, viewer } = this.tenant.keys;
    const answer = await this.#send(entry, OrderService.method.reportStatus, request, operator);
    if (answer && this.#desk.random() < 0.2) {
      const read = await this.#attempt(OrderService.method.getOrder, { orderId }, viewer, {
        repeatable: true,
        isSilent: false,
      });
      const version = read instanceof CallFailed ? undefined : (read.order?.version ?? 0n);
      const isGone = read instanceof CallFailed && read.isRefusal;
      if ((isGone || (version !== undefined && version < answer.version)) && failovers === this.#desk.failovers()) {
        this.#desk.onWrong(`${orderId} was read at version ${version ?? "none"} after ${answer.version} was answered`);
      }
    }
    return 1;
  }

  async #holdOrRelease(): Promise<number> {
    const orderId = this.#order();
    const { operator } = this.tenant.keys;
    if (this.#held.delete(orderId)) {
      const entry = this.#desk.ledger.open(this.tenant.id, "ReleaseOrder", "rel");
      await this.#send(entry, OrderService.method.releaseOrder, { orderId, remark: entry.token }, operator);
    } else {
      const entry = this.#desk.ledger.open(this.tenant.id, "HoldOrder", "hold");
      const request = { orderId, reason: entry.token };
      if (await this.#send(entry, OrderService.method.holdOrder, request, operator)) this.#held.add(orderId);
    }
    return 1;
  }

  async #book(): Promise<number> {
    const bookings = this.#bookings;
    const booking = bookings[Math.floor(this.#desk.random() * bookings.length)];
    if (!booking || (bookings.length < 6 && this.#desk.random() < 0.5)) return this.#request();
    const { id: bookingId, carrier } = booking;
    const key = this.tenant.keys[carrier] ?? "";
    booking.step += 1;
    if (booking.step === 1) {
      const entry = this.#desk.ledger.open(this.tenant.id, "ConfirmBooking", "REF");
      const confirmation = oceanConfirmation(entry.token);
      await this.#send(entry, BookingService.method.confirmBooking, { bookingId, confirmation }, key);
      return 5;
    }
    if (booking.step > 5) {
      bookings.splice(bookings.indexOf(booking), 1);
      const entry = this.#desk.ledger.open(this.tenant.id, "DeclineBooking", "dec");
      await this.#send(entry, BookingService.method.declineBooking, { bookingId, reason: entry.token }, key);
      return 4;
    }
    const entry = this.#desk.ledger.open(this.tenant.id, "ReportMilestone", "mil");
    const milestone = ["GATE_IN", "LOADED", "DEPARTED", "ARRIVED"][booking.step - 2] ?? "GATE_OUT";
    const report = {
      ...{ classifier: Classifier.ACTUAL, milestone, sourceId: entry.token, occurredAt: at(booking.step) },
      place: { unlocode: booking.step < 5 ? "CNSHA" : "NLRTM" },
    };
    await this.#send(entry, BookingService.method.reportMilestone, { bookingId, report }, key);
    return 4;
  }

  async #request(): Promise<number> {
    const entry = this.#desk.ledger.open(this.tenant.id, "RequestBooking", "BKG");
    const carrier = CARRIERS[Math.floor(this.#desk.random() * CARRIERS.length)] ?? CARRIERS[0];
    const orders = [...new Set([this.#order(), this.#order(), this.#order()])].map((orderId) => ({ orderId }));
    const request = { bookingId: entry.token, request: oceanRequest(carrier), orders };
    const { operator } = this.tenant.keys;
    const made = await this.#send(entry, BookingService.method.requestBooking, request, operator);
    if (made) this.#bookings.push({ id: entry.token, carrier, step: 0 });
    return 1 + orders.length;
  }

  /** Sends a command: most are repeated under a request id until they are answered, one in six is sent once and without. */
  async #send<I extends DescMessage, O extends DescMessage>(
    entry: Entry,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    key: string,
    repeatable = this.#isRepeatable(),
  ): Promise<MessageShape<O> | undefined> {
    const named = repeatable ? { ...request, requestId: entry.token } : request;
    const attempts = { repeatable, isSilent: false };
    const answer = await this.#attempt(method, named, key, attempts);
    if (!(answer instanceof CallFailed)) this.#desk.ledger.settle(entry, "acked", placeIn(answer));
    else if (answer.isRefusal) this.#refused(entry, answer.reason, answer.message, !attempts.isSilent);
    else this.#desk.ledger.settle(entry, "unknown");
    return answer instanceof CallFailed ? undefined : answer;
  }

  #isRepeatable(): boolean {
    return this.#desk.random() < 5 / 6;
  }

  async #attempt<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    key: string,
    attempts: Attempts,
  ): Promise<MessageShape<O> | CallFailed> {
    const { repeatable, attemptMs } = attempts;
    const onSilence = () => {
      attempts.isSilent = true;
    };
    try {
      return await (repeatable
        ? this.#desk.calls.retrying(method, request, key, { attemptMs, onSilence })
        : this.#desk.calls.anywhere(method, request, key));
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      if (error.reason === "INTERNAL") this.#desk.onWrong(`${method.name} was answered ${error.message}`);
      return error;
    }
  }

  /** What a failover has lost is unknown from then on, and what it has brought back may not be allowed. */
  #refused(entry: Entry, reason: string, message: string, isCertain: boolean): void {
    this.#desk.ledger.settle(entry, "refused", { isCertain });
    const isExpected = ["ORDER_UNKNOWN", "BOOKING_UNKNOWN", "VERB_ILLEGAL", "BOOKING_MISMATCH"].includes(reason);
    if (!isExpected) this.#desk.onWrong(`${entry.what} ${entry.token} was refused: ${message}`);
    const lost = this.#orders.findIndex((id) => message.includes(id));
    if (reason === "ORDER_UNKNOWN" && lost >= 0) this.#orders.splice(lost, 1);
  }

  #reportOf(entry: Entry, orderId: string, remark = "") {
    const status = STATUSES[Math.floor(this.#desk.random() * STATUSES.length)] ?? "READY";
    const occurredAt = { instant: timestampFromMs(Date.now()) };
    return { orderId, report: { classifier: Classifier.ACTUAL, status, sourceId: entry.token, occurredAt, remark } };
  }

  /** Old orders are left in peace, so that none grows without end. */
  #newest(): readonly string[] {
    return this.#orders.slice(-60);
  }

  /** Some orders are reported on more often than others. */
  #order(): string {
    const newest = this.#newest();
    return newest[Math.floor(this.#desk.random() ** 2 * newest.length)] ?? "";
  }
}

/** The place that an answer names, where it is that of the command's own event. */
function placeIn(answer: object): Known {
  const isReport = "$typeName" in answer && answer.$typeName === "leadline.v1.ReportStatusResponse";
  if (!isReport) return {};
  const { outcome, position } = answer as ReportStatusResponse;
  return outcome === ReportOutcome.APPLIED ? { position } : {};
}
