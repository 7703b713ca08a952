import { expect } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { type Row, row } from "./rows.ts";

const flows = StatusFlowService.method;

const FLOW = "shop";
const names = (en: string, ja: string) => ({ en, ja });
const statuses = [
  { code: "NEW", phase: Phase.RECEIVED, names: names("New", "新規"), nextAnyLater: true },
  { code: "GONE", phase: Phase.IN_TRANSIT, names: names("Gone", "出荷済み"), next: ["THERE"] },
  { code: "THERE", phase: Phase.DELIVERED, names: names("There", "配達済み"), endsJourney: true },
];

/** The same, as people write it. */
const YAML = `id: shop
statuses:
  - { code: NEW, phase: RECEIVED, names: { en: New, ja: 新規 }, next: any later }
  - { code: GONE, phase: IN_TRANSIT, names: { en: Gone }, next: [ THERE ] }
  - { code: THERE, phase: DELIVERED, names: { en: There }, ends_journey: true }
`;

/** A flow from its draft to an order that is moved to it; the order is one of `orderRows`. */
export function flowRows(): Row[] {
  return [...drafting(), ...trying(), ...publishing()];
}

function drafting(): Row[] {
  return [
    row(
      flows.createStatusFlow,
      "owner",
      { flowId: FLOW, name: "Shop", source: { case: "definition", value: { statuses } } },
      { flow: { id: FLOW, etag: "1", publishedVersion: 0, draft: { statuses: [{ names: { ja: "新規" } }, {}, {}] } } },
    ),
    row(
      flows.updateStatusFlow,
      "owner",
      { flowId: FLOW, etag: "1", name: "Web shop" },
      { flow: { name: "Web shop", etag: "2" } },
    ),
    row(
      flows.exportStatusFlow,
      "viewer",
      { flowId: FLOW },
      { yaml: expect.stringMatching(/^id: shop\nname: Web shop\n/) },
    ),
    row(
      flows.importStatusFlow,
      "owner",
      { yaml: YAML },
      {
        flow: { id: FLOW, draft: { statuses: [{ code: "NEW" }, { code: "GONE" }, { code: "THERE" }] } },
        findings: [],
      },
    ),
    row(
      flows.validateStatusFlow,
      "viewer",
      { subject: { case: "definition", value: { statuses: statuses.slice(0, 2) } } },
      { publishable: false, findings: expect.arrayContaining([expect.objectContaining({ status: "GONE" })]) },
    ),
  ];
}

function trying(): Row[] {
  return [
    row(
      flows.simulateStatusFlow,
      "operator",
      { subject: { case: "flowId", value: FLOW }, reports: [{ status: "THERE" }, { status: "LOST" }] },
      { steps: [{ status: "NEW" }, { status: "THERE", ended: true }, { refusal: expect.stringContaining("GONE") }] },
    ),
    row(
      flows.dryRunStatusFlow,
      "viewer",
      { flowId: FLOW, ordersOfFlowId: "standard", pageSize: 1 },
      { examined: 1, nextPageToken: expect.stringMatching(/./) },
    ),
  ];
}

function publishing(): Row[] {
  return [
    row(
      flows.publishStatusFlow,
      "owner",
      { flowId: FLOW },
      { flow: { publishedVersion: 1 }, version: { version: 1, publishedBy: expect.stringMatching(/^key_/) } },
    ),
    row(
      flows.getStatusFlow,
      "viewer",
      { flowId: FLOW, version: 1 },
      { flow: { id: FLOW }, version: { definition: { statuses: [{ code: "NEW" }, {}, {}] } } },
    ),
    row(
      flows.listStatusFlows,
      "viewer",
      { pageSize: 1 },
      { flows: [{ id: FLOW, isDefault: false }], nextPageToken: expect.stringMatching(/./) },
    ),
    row(
      flows.migrateOrders,
      "owner",
      { toFlowId: FLOW, orderIds: ["PO-2"] },
      { moved: 1, unmapped: [], remaining: 0n, nextPageToken: "" },
    ),
  ];
}
