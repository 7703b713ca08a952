import { create } from "@bufbuild/protobuf";
import { Phase } from "../../../gen/leadline/v1/order_pb.ts";
import {
  type FlowDefinition,
  FlowDefinitionSchema,
  type FlowStatus,
  FlowStatusSchema,
  MilestoneScope,
  type MilestoneStatus,
  MilestoneStatusSchema,
} from "../../../gen/leadline/v1/status_flow_pb.ts";

/*
 * The flows that ship as templates: one for each mode, as a tenant would start from. They have no findings.
 */

/** A flow that ships with the service. */
export interface FlowTemplate {
  readonly id: string;
  readonly name: string;
  readonly definition: FlowDefinition;
}

const { RECEIVED, PROCESSING, BOOKED, READY, IN_TRANSIT, ARRIVED, OUT_FOR_DELIVERY, DELIVERED } = Phase;

interface StatusOptions {
  /** The codes that may follow; default: every later one. */
  readonly next?: readonly string[];
  readonly ends?: true;
  /** The phase may go back from here. */
  readonly back?: true;
  /** Hours that an order is expected to stay in it. */
  readonly hours?: number;
}

function status(code: string, phase: Phase, en: string, de: string, options: StatusOptions = {}): FlowStatus {
  const { next, ends, back, hours } = options;
  return create(FlowStatusSchema, {
    code,
    phase,
    names: { en, de },
    next: next === undefined ? [] : [...next],
    nextAnyLater: next === undefined && ends === undefined,
    endsJourney: ends ?? false,
    phaseMayGoBack: back ?? false,
    ...(hours !== undefined && { expectedTime: { seconds: BigInt(hours) * 3_600n } }),
  });
}

const WHERE = {
  anywhere: MilestoneScope.ANYWHERE,
  first: MilestoneScope.FIRST_DEPARTURE,
  last: MilestoneScope.LAST_ARRIVAL,
} as const;

/** With an empty code the milestone alone moves, though the standard flow would take a status from it. */
function on(milestone: string, where: keyof typeof WHERE, code: string): MilestoneStatus {
  return create(MilestoneStatusSchema, { milestone, status: code, scope: WHERE[where] });
}

function template(
  id: string,
  name: string,
  statuses: readonly FlowStatus[],
  milestones: readonly MilestoneStatus[],
): FlowTemplate {
  const definition = create(FlowDefinitionSchema, { statuses: [...statuses], milestones: [...milestones] });
  return { id, name, definition };
}

const OCEAN = template(
  "template-ocean",
  "Ocean, container",
  [
    status("RECEIVED", RECEIVED, "Received", "Eingegangen", { hours: 24 }),
    status("PROCESSING", PROCESSING, "In process", "In Bearbeitung", { hours: 48 }),
    status("BOOKED", BOOKED, "Booked", "Gebucht"),
    status("EMPTY_PICKED_UP", READY, "Empty picked up", "Leercontainer abgeholt"),
    status("GATED_IN", READY, "At the terminal", "Im Terminal", { hours: 168 }),
    status("LOADED", READY, "Loaded", "Verladen", { hours: 48 }),
    status("SAILED", IN_TRANSIT, "Sailed", "Abgefahren"),
    status("PORT_REACHED", ARRIVED, "At port of discharge", "Im Löschhafen", { hours: 72 }),
    status("DISCHARGED", ARRIVED, "Discharged", "Gelöscht", { hours: 96 }),
    status("CUSTOMS_CLEARED", ARRIVED, "Cleared by customs", "Verzollt", { hours: 72 }),
    status("GATED_OUT", OUT_FOR_DELIVERY, "Left the terminal", "Terminal verlassen", { hours: 48 }),
    status("DELIVERED", DELIVERED, "Delivered", "Zugestellt", { ends: true }),
  ],
  [
    on("EMPTY_PICKED_UP", "anywhere", "EMPTY_PICKED_UP"),
    on("PICKED_UP", "first", ""), // a laden one: it has passed the empty's pick-up, and no terminal yet
    on("RECEIVED_BY_CARRIER", "first", "GATED_IN"),
    on("GATE_IN", "first", "GATED_IN"),
    on("LOADED", "first", "LOADED"),
    on("DEPARTED", "anywhere", "SAILED"),
    on("ARRIVED", "last", "PORT_REACHED"),
    on("DISCHARGED", "last", "DISCHARGED"),
    on("AVAILABLE_FOR_PICK_UP", "last", "DISCHARGED"),
    on("CUSTOMS_RELEASED", "last", "CUSTOMS_CLEARED"),
    on("GATE_OUT", "last", "GATED_OUT"),
  ],
);

const AIR = template(
  "template-air",
  "Air",
  [
    status("RECEIVED", RECEIVED, "Received", "Eingegangen", { hours: 12 }),
    status("BOOKED", BOOKED, "Booked", "Gebucht", { hours: 48 }),
    status("ACCEPTED", READY, "Accepted by the carrier", "Vom Carrier angenommen", { hours: 24 }),
    status("MANIFESTED", READY, "Manifested", "Manifestiert", { hours: 12 }),
    status("DEPARTED", IN_TRANSIT, "Departed", "Abgeflogen", { hours: 24 }),
    status("ARRIVED", ARRIVED, "Arrived", "Angekommen", { hours: 12 }),
    status("RECEIVED_FROM_FLIGHT", ARRIVED, "Received from flight", "Vom Flug übernommen", { hours: 24 }),
    status("CONSIGNEE_NOTIFIED", ARRIVED, "Consignee notified", "Empfänger benachrichtigt", { hours: 48 }),
    status("OUT_FOR_DELIVERY", OUT_FOR_DELIVERY, "Out for delivery", "In Zustellung", { hours: 12 }),
    status("DELIVERED", DELIVERED, "Delivered", "Zugestellt", { ends: true }),
  ],
  [
    on("PICKED_UP", "first", ""), // at the shipper's door: the carrier has not accepted it yet
    on("RECEIVED_BY_CARRIER", "first", "ACCEPTED"),
    on("MANIFESTED", "first", "MANIFESTED"),
    on("LOADED", "first", "MANIFESTED"),
    on("DEPARTED", "anywhere", "DEPARTED"),
    on("ARRIVED", "last", "ARRIVED"),
    on("RECEIVED_FROM_FLIGHT", "last", "RECEIVED_FROM_FLIGHT"),
    on("CONSIGNEE_NOTIFIED", "last", "CONSIGNEE_NOTIFIED"),
    on("OUT_OF_WAREHOUSE", "last", "OUT_FOR_DELIVERY"),
  ],
);

const ROAD = template(
  "template-road",
  "Road",
  [
    status("RECEIVED", RECEIVED, "Received", "Eingegangen", { hours: 12 }),
    status("TENDERED", PROCESSING, "Tendered", "Ausgeschrieben", { hours: 4 }),
    status("BOOKED", BOOKED, "Tender accepted", "Auftrag angenommen", { hours: 48 }),
    status("AT_PICK_UP", READY, "At pick-up", "An der Ladestelle", { hours: 4 }),
    status("LOADED", READY, "Loaded", "Geladen", { hours: 2 }),
    status("IN_TRANSIT", IN_TRANSIT, "On the road", "Unterwegs", { hours: 72 }),
    status("AT_DELIVERY", OUT_FOR_DELIVERY, "At delivery", "An der Entladestelle", {
      hours: 4,
      next: ["DELIVERY_FAILED", "DELIVERED"],
    }),
    status("DELIVERY_FAILED", OUT_FOR_DELIVERY, "Delivery failed", "Zustellung gescheitert", {
      hours: 24,
      back: true,
      next: ["IN_TRANSIT", "AT_DELIVERY", "DELIVERED"],
    }),
    status("DELIVERED", DELIVERED, "Delivered", "Zugestellt", { ends: true }),
  ],
  [
    on("ARRIVED_AT_PICK_UP", "first", "AT_PICK_UP"),
    on("LOADED", "first", "LOADED"),
    on("PICKED_UP", "first", "LOADED"),
    on("RECEIVED_BY_CARRIER", "first", "LOADED"),
    on("DEPARTED", "anywhere", "IN_TRANSIT"),
    on("DEPARTED_TERMINAL", "anywhere", "IN_TRANSIT"),
    on("GATE_OUT", "last", "IN_TRANSIT"),
    on("OUT_FOR_DELIVERY", "anywhere", "IN_TRANSIT"),
    on("ARRIVED", "last", "AT_DELIVERY"),
    on("ARRIVED_AT_DELIVERY", "last", "AT_DELIVERY"),
    on("DELIVERY_NOT_COMPLETED", "anywhere", "DELIVERY_FAILED"),
    on("REFUSED_BY_CONSIGNEE", "anywhere", "DELIVERY_FAILED"),
  ],
);

const PARCEL = template(
  "template-parcel",
  "Parcel",
  [
    status("RECEIVED", RECEIVED, "Announced", "Angekündigt", { hours: 24 }),
    status("LABELLED", PROCESSING, "Label made", "Etikettiert", { hours: 24 }),
    status("COLLECTED", READY, "Collected", "Abgeholt", { hours: 12 }),
    status("SORTED", IN_TRANSIT, "Sorted", "Sortiert", { hours: 24 }),
    status("IN_TRANSIT", IN_TRANSIT, "On its way", "Unterwegs", { hours: 48 }),
    status("DESTINATION_DEPOT", ARRIVED, "At the delivery depot", "Im Zustelldepot", { hours: 24 }),
    status("OUT_FOR_DELIVERY", OUT_FOR_DELIVERY, "Out for delivery", "In Zustellung", { hours: 12 }),
    status("DELIVERY_FAILED", OUT_FOR_DELIVERY, "Nobody met", "Niemand angetroffen", {
      hours: 24,
      back: true,
      next: ["DESTINATION_DEPOT", "OUT_FOR_DELIVERY", "AT_PICKUP_POINT", "RETURNED", "DELIVERED"],
    }),
    status("AT_PICKUP_POINT", OUT_FOR_DELIVERY, "At a pick-up point", "In der Abholstelle", { hours: 168 }),
    // It stands before DELIVERED: what was returned has not come to be delivered.
    status("RETURNED", OUT_FOR_DELIVERY, "Returned to sender", "Zurück an Absender", { ends: true }),
    status("DELIVERED", DELIVERED, "Delivered", "Zugestellt", { ends: true }),
  ],
  [
    on("PICKED_UP", "anywhere", "COLLECTED"),
    on("DEPARTED", "anywhere", "IN_TRANSIT"),
    on("DEPARTED_TERMINAL", "anywhere", "IN_TRANSIT"),
    on("EN_ROUTE", "anywhere", "IN_TRANSIT"),
    on("BORDER_CROSSED", "anywhere", "IN_TRANSIT"),
    on("ARRIVED_AT_TERMINAL", "last", "DESTINATION_DEPOT"),
    on("DELIVERY_NOT_COMPLETED", "anywhere", "DELIVERY_FAILED"),
    on("REFUSED_BY_CONSIGNEE", "anywhere", "DELIVERY_FAILED"),
    on("RETURNED_TO_SHIPPER", "anywhere", "RETURNED"),
  ],
);

/** The templates, by mode. */
export const TEMPLATES: readonly FlowTemplate[] = [OCEAN, AIR, ROAD, PARCEL];
