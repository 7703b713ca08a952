import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  BatchReportStatusRequestSchema,
  CreateOrderRequestSchema,
  GetOrderRequestSchema,
  ListOrdersRequestSchema,
  ReportStatusRequestSchema,
  WatchOrdersRequestSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { VarintReader } from "./streams.ts";

export type CallKind = "create" | "report" | "batch" | "burst" | "get" | "list" | "ready";

/** Items of one BatchReportStatus. */
const BATCH_ITEMS = 200;
/** Items of the BatchReportStatus that makes a burst of events. */
export const BURST_ITEMS = 10;
/** Orders of one page of ListOrders. */
const PAGE = 100;

/** The methods that are called. `ready` is the reference's: it answers with what it has ready, whatever is asked. */
export const PATHS: Readonly<Record<CallKind, string>> = {
  create: "/leadline.v1.OrderService/CreateOrder",
  report: "/leadline.v1.OrderService/ReportStatus",
  batch: "/leadline.v1.OrderService/BatchReportStatus",
  burst: "/leadline.v1.OrderService/BatchReportStatus",
  get: "/leadline.v1.OrderService/GetOrder",
  list: "/leadline.v1.OrderService/ListOrders",
  ready: "/bench.Reference/Ready",
};
export const WATCH_PATH = "/leadline.v1.OrderService/WatchOrders";

/** What an order passes through, one status for each round through all orders. */
const STATUSES = ["PROCESSING", "BOOKED", "READY", "IN_TRANSIT", "ARRIVED"] as const;

/** The id of the n-th order: all ids are equally long, so they can be written over each other in an encoded request. */
export function orderId(n: number): string {
  return `order-${String(n).padStart(8, "0")}`;
}

/** One request, ready to be sent. */
export interface Prepared {
  readonly message: Uint8Array;
  /** The number of the order that it names, or of the first one. */
  readonly order: number;
}

/**
 * Makes requests of one kind without encoding: a copy of one encoded beforehand, with another request id and order id.
 * @param orders ids are drawn from 0 up to this; `create` takes them in turn
 * @param run five characters that make the request ids differ from those of other runs
 * @param random from 0 up to 1
 * @param round the round through all orders that reports begin with, from 0
 */
export function requests(kind: CallKind, orders: number, run: string, random: () => number, round = 0): () => Prepared {
  let count = 0;
  const draw = () => Math.floor(random() * orders);
  if (kind === "create") {
    const template = new Template(toBinary(CreateOrderRequestSchema, newOrder()));
    return () => ({ message: template.fill("", [count, count]), order: count++ });
  }
  if (kind === "report" || kind === "batch" || kind === "burst") {
    const items = itemsOf(kind);
    const templates = STATUSES.map((status) => new Template(encodeReports(kind === "report" ? 0 : items, status)));
    return () => {
      const numbers = Array.from({ length: items }, draw);
      const template = templates[(round + Math.floor((count * items) / orders)) % templates.length];
      const message = template?.fill(run, numbers, count * items) ?? new Uint8Array();
      count += 1;
      return { message, order: numbers[0] ?? 0 };
    };
  }
  const template = new Template(
    kind === "list"
      ? toBinary(ListOrdersRequestSchema, create(ListOrdersRequestSchema, { pageSize: PAGE }))
      : toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: orderId(0) })),
  );
  return () => {
    const order = draw();
    return { message: template.fill("", kind === "list" ? [] : [order]), order };
  };
}

/** Events that one call makes, if all goes well. */
export function itemsOf(kind: CallKind): number {
  if (kind === "batch") return BATCH_ITEMS;
  return kind === "burst" ? BURST_ITEMS : 1;
}

/** How many items of a batch's answer were taken and not refused. */
export function taken(body: Uint8Array): number {
  let good = 0;
  const reader = new VarintReader(body, 5);
  while (reader.at < body.length) {
    reader.read();
    const length = reader.read();
    if (body[reader.at] === 0x0a) good += 1; // `response`, not `error`
    reader.at += length;
  }
  return good;
}

export interface Watched {
  readonly ids?: readonly string[];
  readonly position?: string;
}

export function encodeWatch({ ids, position }: Watched): Uint8Array {
  const filter = ids ? { filter: { ids: [...ids] } } : {};
  return toBinary(
    WatchOrdersRequestSchema,
    create(WatchOrdersRequestSchema, { ...filter, ...(position ? { position } : {}) }),
  );
}

/** A request with places for ids that are written over. */
class Template {
  readonly #bytes: Buffer;
  readonly #orders: readonly number[];
  readonly #requests: readonly number[];

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
    this.#orders = placesOf(this.#bytes, orderId(0)).map((at) => at + "order-".length);
    this.#requests = placesOf(this.#bytes, REQUEST_ID);
  }

  fill(run: string, orders: readonly number[], firstRequest = 0): Buffer {
    const bytes = Buffer.from(this.#bytes);
    for (const [i, at] of this.#orders.entries()) digits(bytes, at, orders[i] ?? 0, 8);
    for (const [i, at] of this.#requests.entries()) {
      bytes.write(run, at, "latin1");
      digits(bytes, at + run.length, firstRequest + i, 11);
    }
    return bytes;
  }
}

const REQUEST_ID = "<request-id-16b>";

function digits(bytes: Buffer, at: number, value: number, length: number): void {
  let left = value;
  for (let i = at + length - 1; i >= at; i--) {
    bytes[i] = 0x30 + (left % 10);
    left = Math.floor(left / 10);
  }
}

function placesOf(bytes: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
  return places;
}

function newOrder() {
  return create(CreateOrderRequestSchema, {
    orderId: orderId(0),
    references: [{ type: "PO", value: `PO-${orderId(0)}` }],
    origin: { unlocode: "CNSHA" },
    destination: { unlocode: "NLRTM" },
    lines: [{ id: "1", sku: "LAMP-9", quantity: 25n }],
  });
}

/** @param items of a batch; 0: a call of ReportStatus */
function encodeReports(items: number, status: string): Uint8Array {
  const report = create(ReportStatusRequestSchema, {
    requestId: REQUEST_ID,
    orderId: orderId(0),
    report: {
      source: "MAEU",
      classifier: Classifier.ACTUAL,
      status,
      occurredAt: { instant: timestampFromDate(new Date("2026-03-02T08:00:00Z")) },
      place: { unlocode: "NLRTM" },
    },
  });
  if (items === 0) return toBinary(ReportStatusRequestSchema, report);
  const batch = create(BatchReportStatusRequestSchema, { items: Array.from({ length: items }, () => report) });
  return toBinary(BatchReportStatusRequestSchema, batch);
}
