import { create, equals } from "@bufbuild/protobuf";
import { type Appointment, AppointmentSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { AppointmentChangedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { type BookingCall, bookingDraft, calledBooking, type Effects, NO_EFFECTS } from "./booking-effects.ts";
import { hasEnded, modeMismatch, verbIllegal } from "./booking-transitions.ts";
import { fieldInvalid } from "./field-invalid.ts";
import type { Load } from "./subject.ts";
import { checkLocalTime, compareLocalTimes } from "./times.ts";

/** Makes or changes the appointment of a stop. Road only: MODE_MISMATCH otherwise. One that stands so changes nothing. */
export function decideAppointment(load: Load, call: BookingCall & { readonly appointment: Appointment }): Effects {
  const { booking, details } = calledBooking(load, call);
  if (booking.mode !== TransportMode.ROAD) throw modeMismatch(booking, "SET_APPOINTMENT", TransportMode.ROAD);
  if (hasEnded(booking)) throw verbIllegal(booking, "SET_APPOINTMENT", "carrier");
  const { appointment } = call;
  checkWindow(appointment);
  const was = details.appointments.find((one) => one.stop === appointment.stop);
  if (was && equals(AppointmentSchema, was, appointment)) return NO_EFFECTS;
  const value = create(AppointmentChangedSchema, { appointment });
  return { drafts: [bookingDraft(booking.id, { case: "appointmentChanged", value })] };
}

function checkWindow({ from, to }: Appointment): void {
  checkLocalTime(from, "appointment.from");
  checkLocalTime(to, "appointment.to");
  if (from && to && compareLocalTimes(from, to) > 0)
    throw fieldInvalid("appointment.to", "lies before appointment.from");
}
