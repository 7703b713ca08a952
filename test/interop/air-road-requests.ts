import { AppointmentState, BookingState, LegStage, SpaceVerdict, StopKind } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { CARRIERS } from "../support/app.ts";
import { at } from "./parts.ts";
import { type Row, row } from "./rows.ts";

const bookings = BookingService.method;

export function airRows(): Row[] {
  const id = "BKG-AIR";
  const means = { flight: "KL0896", flightDate: "2026-03-08" };
  const cargo = { pieces: 8, grossWeightGrams: 640_000n };
  const [from, to] = [{ unlocode: "CNSHA" }, { unlocode: "NLAMS" }];
  return [
    row(
      bookings.requestBooking,
      "operator",
      {
        bookingId: id,
        request: {
          mode: TransportMode.AIR,
          carrier: CARRIERS.carrier,
          cargo,
          means,
          places: [
            { type: "POL", place: from },
            { type: "POD", place: to },
          ],
          expectedDeparture: at(7),
        },
      },
      { booking: { mode: TransportMode.AIR, spaceCode: "HN" } },
    ),
    row(
      bookings.waitlistBooking,
      "carrier",
      { bookingId: id },
      { booking: { space: SpaceVerdict.WAITLISTED, spaceCode: "HL" } },
    ),
    row(
      bookings.confirmBooking,
      "carrier",
      {
        bookingId: id,
        confirmation: {
          bookingReference: "074-12345675",
          cargo,
          legs: [
            {
              sequence: 1,
              stage: LegStage.MAIN_CARRIAGE,
              mode: TransportMode.AIR,
              from,
              to,
              means,
              departure: at(7, 11),
              arrival: at(7, 23),
            },
          ],
        },
      },
      { booking: { state: BookingState.CONFIRMED, space: SpaceVerdict.FULL, means } },
    ),
  ];
}

export function roadRows(): Row[] {
  const id = "BKG-ROAD";
  return [
    row(
      bookings.requestBooking,
      "operator",
      {
        bookingId: id,
        request: {
          mode: TransportMode.ROAD,
          carrier: CARRIERS.carrier,
          cargo: { pieces: 8 },
          places: [
            { type: "PRE", place: { unlocode: "NLRTM" } },
            { type: "PDE", place: { unlocode: "DEDUS" } },
          ],
          expectedDeparture: at(4),
        },
      },
      { booking: { mode: TransportMode.ROAD, state: BookingState.RECEIVED } },
    ),
    row(
      bookings.confirmBooking,
      "carrier",
      { bookingId: id, confirmation: { bookingReference: "T-9", cargo: { pieces: 8 } } },
      { booking: { state: BookingState.CONFIRMED } },
    ),
    row(
      bookings.setAppointment,
      "operator",
      {
        bookingId: id,
        appointment: { stop: StopKind.DELIVERY, state: AppointmentState.CONFIRMED, from: at(5, 9), to: at(5, 11) },
      },
      { booking: { version: 3n } },
    ),
  ];
}
