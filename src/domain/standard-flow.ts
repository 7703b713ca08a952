import { create } from "@bufbuild/protobuf";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { type StatusFlow, statusFlow } from "./status-flow.ts";
import type { Flows } from "./subject.ts";

/** The id under which people name the standard flow. In orders and events it is empty. */
export const STANDARD_FLOW_ID = "standard";

/** The standard flow as it is written down: forward only, and statuses may be skipped. */
export const STANDARD_DEFINITION = create(FlowDefinitionSchema, {
  statuses: [
    { code: "RECEIVED", phase: Phase.RECEIVED, names: { en: "Received", de: "Eingegangen" } },
    { code: "PROCESSING", phase: Phase.PROCESSING, names: { en: "In process", de: "In Bearbeitung" } },
    { code: "BOOKED", phase: Phase.BOOKED, names: { en: "Booked", de: "Gebucht" } },
    { code: "READY", phase: Phase.READY, names: { en: "Ready for carriage", de: "Transportbereit" } },
    { code: "IN_TRANSIT", phase: Phase.IN_TRANSIT, names: { en: "In transit", de: "Unterwegs" } },
    { code: "ARRIVED", phase: Phase.ARRIVED, names: { en: "Arrived", de: "Angekommen" } },
    { code: "OUT_FOR_DELIVERY", phase: Phase.OUT_FOR_DELIVERY, names: { en: "Out for delivery", de: "In Zustellung" } },
    { code: "DELIVERED", phase: Phase.DELIVERED, endsJourney: true, names: { en: "Delivered", de: "Zugestellt" } },
  ].map((status) => ({ ...status, nextAnyLater: !status.endsJourney })),
});

/** The flow of every order that has none of its own. */
export const STANDARD_FLOW: StatusFlow = statusFlow({ id: "", version: 0 }, STANDARD_DEFINITION);

/** The flows of a tenant that has none of its own. */
export const standardOnly: Flows = ({ id, version }) => {
  if (id === "") return STANDARD_FLOW;
  throw new Error(`flow ${id} ${version} was not loaded`);
};
