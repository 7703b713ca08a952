import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { type StatusFlow, statusFlow } from "./status-flow.ts";

/** The flow of every order that has none of its own: forward only, and statuses may be skipped. */
export const STANDARD_FLOW: StatusFlow = statusFlow(
  "standard",
  [
    { code: "RECEIVED", phase: Phase.RECEIVED },
    { code: "PROCESSING", phase: Phase.PROCESSING },
    { code: "BOOKED", phase: Phase.BOOKED },
    { code: "READY", phase: Phase.READY },
    { code: "IN_TRANSIT", phase: Phase.IN_TRANSIT },
    { code: "ARRIVED", phase: Phase.ARRIVED },
    { code: "OUT_FOR_DELIVERY", phase: Phase.OUT_FOR_DELIVERY },
    { code: "DELIVERED", phase: Phase.DELIVERED },
  ],
  "CANCELLED",
);
