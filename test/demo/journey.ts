import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ConfirmationSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { AppointmentState, LegStage, StopKind } from "../../gen/leadline/v1/booking_pb.ts";
import type { LocalTimeSchema } from "../../gen/leadline/v1/place_pb.ts";
import { TransportMode, UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, type ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";

/** One step of the journey: a call or a few, through the public gRPC door. */
export interface Step {
  readonly title: string;
  run(parties: Parties): Promise<unknown>;
}

/** Who acts: the shipper's side and the carrier. */
export interface Parties {
  readonly operator: LeadlineClient;
  readonly carrier: LeadlineClient;
}

export const CARRIER = "MAEU";
const CONTAINERS = ["MSKU6874333", "CSQU3054383", "MEDU3170580"];
const [FIRST = "", SECOND = "", THIRD = ""] = CONTAINERS;
const ORDERS = ["PO-4711", "PO-4712", "PO-4713"];

/** Day 1 of the journey is 2 March 2026; `at(3, 14)` is 14:00 UTC on day 3. */
function at(day: number, hour = 8): MessageInitShape<typeof LocalTimeSchema> {
  return { instant: timestampFromDate(new Date(Date.UTC(2026, 2, 1 + day, hour))) };
}

/** A recorded journey: three orders in three containers from Shanghai to Rotterdam by way of Singapore, one by air, one by road. */
export function journey(): Step[] {
  return [...orders(), ...oceanBooking(), ...containers(), ...deliveries(), ...airBooking(), ...roadBooking()];
}

function orders(): Step[] {
  const create = ORDERS.map(
    (orderId, i): Step => ({
      title: `${orderId} is received`,
      run: ({ operator }) =>
        operator.orders.createOrder({
          requestId: `create-${orderId}`,
          orderId,
          references: [{ type: "PO", value: orderId }],
          origin: { unlocode: "CNSHA" },
          destination: { unlocode: "NLRTM" },
          promisedAt: timestampFromDate(new Date(Date.UTC(2026, 3, 10))),
          lines: [{ id: "1", sku: "LAMP-9", quantity: 25n }],
          units: i === 0 ? units(CONTAINERS) : units([CONTAINERS[i] ?? FIRST]),
        }),
    }),
  );
  const others = ["PO-AIR", "PO-ROAD"].map(
    (orderId): Step => ({
      title: `${orderId} is received`,
      run: ({ operator }) => operator.orders.createOrder({ orderId, lines: [{ id: "1", quantity: 8n }] }),
    }),
  );
  const process = [...ORDERS, "PO-AIR", "PO-ROAD"].map((orderId): Step => status(orderId, "PROCESSING", at(1)));
  const hold: Step[] = [
    {
      title: "PO-4713 is put on hold and released",
      run: async ({ operator }) => {
        await operator.orders.holdOrder({ orderId: "PO-4713", reason: "credit check" });
        await operator.orders.releaseOrder({ orderId: "PO-4713", remark: "credit is fine" });
      },
    },
  ];
  return [...create, ...others, ...process, ...hold];
}

function oceanBooking(): Step[] {
  const bookingId = "BKG-OCEAN";
  const request = {
    mode: TransportMode.OCEAN,
    carrier: CARRIER,
    parties: [{ role: "BOOKING_AGENT", name: "Lead Logistics" }],
    places: [
      { type: "POL", place: { unlocode: "CNSHA" } },
      { type: "POD", place: { unlocode: "NLRTM" } },
    ],
    equipment: [{ isoEquipmentCode: "45G1", units: 3 }],
    expectedDeparture: at(6),
    partialLoadAllowed: true,
    units: units(CONTAINERS),
  };
  return [
    {
      title: "space for three containers is asked for",
      run: ({ operator }) =>
        operator.bookings.requestBooking({
          requestId: "ask-ocean",
          bookingId,
          request,
          orders: [
            { orderId: "PO-4711", unitIds: CONTAINERS },
            { orderId: "PO-4712", unitIds: [SECOND] },
            { orderId: "PO-4713", unitIds: [THIRD] },
          ],
        }),
    },
    step("the carrier asks for an update", ({ carrier }) =>
      carrier.bookings.requestUpdate({
        bookingId,
        feedbacks: [{ severity: "ERROR", code: "PROPERTY_VALUE_MUST_CHANGE", message: "name the contract" }],
      }),
    ),
    step("the shipper updates", ({ operator }) =>
      operator.bookings.updateBooking({ bookingId, request: { ...request, contractReference: "SC-77" } }),
    ),
    step("the carrier confirms two of three", ({ carrier }) =>
      carrier.bookings.confirmBooking({ bookingId, confirmation: confirmation(2, "EVER DAWN", "9321483", 6) }),
    ),
    step("the carrier confirms all three", ({ carrier }) =>
      carrier.bookings.confirmBooking({ bookingId, confirmation: confirmation(3, "EVER DAWN", "9321483", 6) }),
    ),
    step("the carrier rolls it to the next vessel", ({ carrier }) =>
      carrier.bookings.confirmBooking({ bookingId, confirmation: confirmation(3, "EVER DUSK", "9298686", 13) }),
    ),
    step("the shipper amends", ({ operator }) =>
      operator.bookings.amendBooking({
        bookingId,
        request: { ...request, contractReference: "SC-77", remark: "stow below deck" },
      }),
    ),
    step("the carrier confirms the amendment", ({ carrier }) =>
      carrier.bookings.confirmAmendment({ bookingId, confirmation: confirmation(3, "EVER DUSK", "9298686", 13) }),
    ),
    ...[34, 36, 35].map((day) =>
      step(`the arrival moves to day ${day}`, ({ carrier }) =>
        carrier.bookings.reportSchedule({
          bookingId,
          legs: [mainLeg("EVER DUSK", "9298686", 13, day)],
          reasonCode: "WEA",
        }),
      ),
    ),
  ];
}

function confirmation(
  units: number,
  vessel: string,
  imo: string,
  day: number,
): MessageInitShape<typeof ConfirmationSchema> {
  return {
    bookingReference: "MAEU55512",
    equipment: [{ isoEquipmentCode: "45G1", units }],
    legs: [mainLeg(vessel, imo, day, day + 26)],
    cutOffs: [
      { code: "FCO", at: at(day - 1, 12) },
      { code: "VCO", at: at(day - 1, 16) },
      { code: "EFC", at: at(day - 5) },
    ],
    units: CONTAINERS.map((id) => ({ id, kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" })),
  };
}

function mainLeg(vessel: string, vesselImo: string, departs: number, arrives: number) {
  return {
    sequence: 1,
    stage: LegStage.MAIN_CARRIAGE,
    mode: TransportMode.OCEAN,
    from: { unlocode: "CNSHA" },
    to: { unlocode: "NLRTM" },
    means: { vessel, vesselImo, voyage: `${departs}W`, service: "AE7" },
    departure: at(departs),
    arrival: at(arrives),
  };
}

/** Each container moves on its own; the third is left behind for a day. */
function containers(): Step[] {
  const moves: readonly (readonly [milestone: string, place: string, day: number])[] = [
    ["STUFFED", "CNSHA", 9],
    ["GATE_IN", "CNSHA", 11],
    ["LOADED", "CNSHA", 13],
    ["DEPARTED", "CNSHA", 13],
    ["DISCHARGED", "SGSIN", 19],
    ["LOADED", "SGSIN", 21],
    ["ARRIVED", "NLRTM", 35],
    ["DISCHARGED", "NLRTM", 35],
    ["GATE_OUT", "NLRTM", 37],
  ];
  const observed = moves.flatMap(([milestone, unlocode, day], n) =>
    CONTAINERS.map((unit, i) =>
      milestoneOf(unit, { milestone, place: { unlocode }, occurredAt: at(day, 6 + i * 3) }, `${unit}/${n}`),
    ),
  );
  const corrections: Step[] = [
    milestoneOf(FIRST, { milestone: "CUSTOMS_RELEASED", place: { unlocode: "CNSHA" }, occurredAt: at(12) }, "late"),
    milestoneOf(SECOND, { milestone: "GATE_IN", place: { unlocode: "CNSHA" }, occurredAt: at(11, 21) }, `${SECOND}/1`),
    step("a report is taken back", ({ carrier }) =>
      carrier.bookings.retractMilestone({ bookingId: "BKG-OCEAN", sourceId: `${THIRD}/8`, reason: "wrong gate" }),
    ),
    milestoneOf(THIRD, { milestone: "GATE_OUT", place: { unlocode: "NLRTM" }, occurredAt: at(38) }, `${THIRD}/8b`),
  ];
  return [...observed, ...corrections];
}

function milestoneOf(unit: string, report: MessageInitShape<typeof ReportSchema>, sourceId: string): Step {
  return step(`${unit}: ${report.milestone}`, ({ carrier }) =>
    carrier.bookings.reportMilestone({
      requestId: `${sourceId}/${report.milestone}/${report.occurredAt?.instant?.seconds}`,
      bookingId: "BKG-OCEAN",
      report: { classifier: Classifier.ACTUAL, unitIds: [unit], sourceId, ...report },
    }),
  );
}

function deliveries(): Step[] {
  return [
    ...ORDERS.map((orderId) => status(orderId, "OUT_FOR_DELIVERY", at(39))),
    part("PO-4711", 3n, 40),
    part("PO-4711", 22n, 41),
    status("PO-4712", "DELIVERED", at(40)),
    status("PO-4713", "DELIVERED", at(42)),
    step("PO-4713 was not delivered after all", ({ operator }) =>
      operator.orders.retractReport({ orderId: "PO-4713", sourceId: "DELIVERED", reason: "wrong door" }),
    ),
    step("PO-4713 is delivered", ({ operator }) =>
      operator.orders.reportStatus({
        orderId: "PO-4713",
        report: { classifier: Classifier.ACTUAL, status: "DELIVERED", sourceId: "DELIVERED-2", occurredAt: at(43) },
      }),
    ),
    step("the booking is complete", ({ carrier }) => carrier.bookings.completeBooking({ bookingId: "BKG-OCEAN" })),
  ];
}

function airBooking(): Step[] {
  const bookingId = "BKG-AIR";
  const legs = [
    {
      sequence: 1,
      stage: LegStage.MAIN_CARRIAGE,
      mode: TransportMode.AIR,
      from: { unlocode: "CNSHA" },
      to: { unlocode: "NLAMS" },
      means: { flight: "KL0896", flightDate: "2026-03-08" },
      departure: at(7, 11),
      arrival: at(7, 23),
    },
  ];
  const cargo = { pieces: 8, grossWeightGrams: 640_000n };
  return [
    step("space for eight pieces by air is asked for", ({ operator }) =>
      operator.bookings.requestBooking({
        bookingId,
        request: {
          mode: TransportMode.AIR,
          carrier: CARRIER,
          cargo,
          places: [
            { type: "POL", place: { unlocode: "CNSHA" } },
            { type: "POD", place: { unlocode: "NLAMS" } },
          ],
          means: { flight: "KL0896", flightDate: "2026-03-08" },
          expectedDeparture: at(7),
        },
        orders: [{ orderId: "PO-AIR" }],
      }),
    ),
    step("they are on the wait list", ({ carrier }) => carrier.bookings.waitlistBooking({ bookingId })),
    step("they are confirmed", ({ carrier }) =>
      carrier.bookings.confirmBooking({ bookingId, confirmation: { bookingReference: "074-12345675", cargo, legs } }),
    ),
    status("PO-AIR", "IN_TRANSIT", at(7, 11)),
    status("PO-AIR", "ARRIVED", at(7, 23)),
    status("PO-AIR", "DELIVERED", at(9)),
  ];
}

function roadBooking(): Step[] {
  const request = {
    mode: TransportMode.ROAD,
    carrier: CARRIER,
    cargo: { pieces: 8 },
    places: [
      { type: "PRE", place: { unlocode: "NLRTM" } },
      { type: "PDE", place: { unlocode: "DEDUS" } },
    ],
    expectedDeparture: at(4),
  };
  const orders = [{ orderId: "PO-ROAD" }];
  return [
    step("a load is tendered", ({ operator }) =>
      operator.bookings.requestBooking({ bookingId: "BKG-ROAD-1", request, orders }),
    ),
    step("the tender is declined", ({ carrier }) =>
      carrier.bookings.rejectBooking({ bookingId: "BKG-ROAD-1", reason: "no truck" }),
    ),
    step("it is tendered again", ({ operator }) =>
      operator.bookings.requestBooking({ bookingId: "BKG-ROAD-2", request, orders }),
    ),
    step("the tender is accepted", ({ carrier }) =>
      carrier.bookings.confirmBooking({
        bookingId: "BKG-ROAD-2",
        confirmation: { bookingReference: "T-9", cargo: { pieces: 8 } },
      }),
    ),
    step("the delivery has an appointment", ({ operator }) =>
      operator.bookings.setAppointment({
        bookingId: "BKG-ROAD-2",
        appointment: { stop: StopKind.DELIVERY, state: AppointmentState.CONFIRMED, from: at(5, 9), to: at(5, 11) },
      }),
    ),
    status("PO-ROAD", "IN_TRANSIT", at(4)),
    step("PO-ROAD is cancelled on the way", ({ operator }) =>
      operator.orders.cancelOrder({ orderId: "PO-ROAD", reason: "bought elsewhere" }),
    ),
  ];
}

function status(orderId: string, code: string, occurredAt: MessageInitShape<typeof LocalTimeSchema>): Step {
  return step(`${orderId}: ${code}`, ({ operator }) =>
    operator.orders.reportStatus({
      requestId: `${orderId}/${code}`,
      orderId,
      report: { classifier: Classifier.ACTUAL, status: code, sourceId: code, occurredAt },
    }),
  );
}

function part(orderId: string, quantity: bigint, day: number): Step {
  return step(`${orderId}: ${quantity} of 25 delivered`, ({ operator }) =>
    operator.orders.reportStatus({
      orderId,
      report: {
        classifier: Classifier.ACTUAL,
        status: "DELIVERED",
        sourceId: `part-${quantity}`,
        occurredAt: at(day),
        lines: [{ lineId: "1", quantity }],
      },
    }),
  );
}

function units(ids: readonly string[]) {
  return ids.map((id) => ({ id, kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" }));
}

function step(title: string, run: Step["run"]): Step {
  return { title, run };
}
