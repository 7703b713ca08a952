import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  type BookingFilter,
  BookingFilterSchema,
  type BookingState,
  BookingStateSchema,
  type SpaceVerdict,
  SpaceVerdictSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { type OrderFilter, OrderFilterSchema, type Phase, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import { wrongUse } from "./cli-error.ts";
import { manyTexts, manyWords, wordsOf } from "./words.ts";

/** The filter options of `leadline watch`. Values of one option are joined by OR, options by AND. */
export interface FilterOptions {
  readonly id?: string[];
  readonly reference?: string[];
  readonly carrier?: string[];
  readonly status?: string[];
  readonly phase?: Phase[];
  readonly booking?: string[];
  readonly state?: BookingState[];
  readonly space?: SpaceVerdict[];
  readonly order?: string[];
}

const ordersOnly = ["status", "phase", "booking"] as const;
const bookingsOnly = ["state", "space"] as const;

/** Adds the options to a command. */
export function withFilters(command: Command): Command {
  return command
    .option("--id <id>", "these; this and all filters may be repeated, or take several values with commas", manyTexts)
    .option("--reference <type:value>", "with this reference: PO:4711, BKG:ABC123456", manyTexts)
    .option("--carrier <code>", "of this carrier", manyTexts)
    .option("--status <code>", "orders: in this status", manyTexts)
    .option(
      "--phase <phase>",
      `orders: in this phase: ${wordsOf(PhaseSchema).join(", ")}`,
      manyWords<Phase>(PhaseSchema),
    )
    .option("--booking <id>", "orders: carried by this booking", manyTexts)
    .option(
      "--state <state>",
      `bookings: in this state: ${wordsOf(BookingStateSchema).join(", ")}`,
      manyWords<BookingState>(BookingStateSchema),
    )
    .option(
      "--space <verdict>",
      `bookings: with this verdict: ${wordsOf(SpaceVerdictSchema).join(", ")}`,
      manyWords<SpaceVerdict>(SpaceVerdictSchema),
    )
    .option("--order <id>", "this order; bookings: that carry it", manyTexts);
}

/** The filter of a watch of orders. Throws a CliError for an option that is of bookings only. */
export function orderFilter(options: FilterOptions): OrderFilter {
  refuse(options, bookingsOnly, "bookings");
  return create(OrderFilterSchema, {
    ids: [...(options.id ?? []), ...(options.order ?? [])],
    references: (options.reference ?? []).map(reference),
    statuses: (options.status ?? []).map((status) => status.toUpperCase()),
    phases: options.phase ?? [],
    carriers: options.carrier ?? [],
    bookingIds: options.booking ?? [],
  });
}

/** The filter of a watch of bookings. Throws a CliError for an option that is of orders only. */
export function bookingFilter(options: FilterOptions): BookingFilter {
  refuse(options, ordersOnly, "orders");
  return create(BookingFilterSchema, {
    ids: options.id ?? [],
    references: (options.reference ?? []).map(reference),
    states: options.state ?? [],
    carriers: options.carrier ?? [],
    spaces: options.space ?? [],
    orderIds: options.order ?? [],
  });
}

function refuse(options: FilterOptions, names: readonly (keyof FilterOptions)[], of: string): void {
  const wrong = names.find((name) => options[name] !== undefined);
  if (wrong) throw wrongUse(`--${wrong} is a filter of ${of}`, `leadline watch ${of} --${wrong} ...`);
}

function reference(text: string): { type: string; value: string } {
  const [, type, value] = /^([A-Za-z][A-Za-z0-9_]{0,15}):(.+)$/.exec(text) ?? [];
  if (type === undefined || value === undefined) {
    throw wrongUse(`--reference "${text}" has no type`, "write it like --reference PO:4711");
  }
  return { type: type.toUpperCase(), value };
}
