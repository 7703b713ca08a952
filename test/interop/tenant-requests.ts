import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect } from "vitest";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { ImportOutcome, ImportService, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { CodeList } from "../../gen/leadline/v1/status_flow_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import { equipmentEvent22 } from "../fixtures/dcsa/events.ts";
import { CARRIERS } from "../support/app.ts";
import { ORDER } from "./order-requests.ts";
import { type Row, row } from "./rows.ts";

const imports = ImportService.method;
const flows = StatusFlowService.method;
const tenants = TenantService.method;

export function importRows(): Row[] {
  const carrier = CARRIERS.carrier;
  return [
    row(
      imports.importItems,
      "operator",
      { format: MessageFormat.DCSA_BOOKING_2, carrier, items: [JSON.stringify(dryRequest())] },
      { results: [{ outcome: ImportOutcome.APPLIED, bookingIds: [expect.stringMatching(/./)] }] },
    ),
    row(
      imports.importItems,
      "operator",
      {
        carrier,
        items: [JSON.stringify(equipmentEvent22({ equipmentReference: "MEDU3170580", references: [] })), "{}"],
      },
      {
        results: [
          { outcome: ImportOutcome.UNMATCHED, workItemId: expect.stringMatching(/^wrk_/) },
          { outcome: ImportOutcome.REFUSED, reason: expect.stringMatching(/./) },
        ],
      },
    ),
    row(
      imports.listWorkItems,
      "viewer",
      { pageSize: 5 },
      { items: [{ carrier, tries: expect.any(Number), id: expect.stringMatching(/^wrk_/) }], nextPageToken: "" },
    ),
    row(
      imports.retryWorkItems,
      "operator",
      (answers) => ({ ids: answers.of(imports.listWorkItems).items.map(({ id }) => id) }),
      { results: [{ outcome: ImportOutcome.UNMATCHED }] },
    ),
    row(
      imports.listInboundMessages,
      "viewer",
      { pageSize: 1 },
      { messages: [{ id: expect.stringMatching(/^msg_/), item: "{}" }], nextPageToken: expect.stringMatching(/./) },
    ),
  ];
}

/** What partners' codes mean: listed, and changed. */
export function codeRows(): Row[] {
  const mapping = { codeList: CodeList.IATA_FSU, code: "ZZ9", carrier: CARRIERS.carrier, milestone: "DEPARTED" };
  return [
    row(flows.updateCodeMappings, "operator", { set: [mapping] }, { ownMappings: 1, workItemsMapped: 0 }),
    row(
      flows.listCodeMappings,
      "viewer",
      { ownOnly: true, pageSize: 5 },
      { mappings: [{ ...mapping, own: true }], nextPageToken: "" },
    ),
  ];
}

export function changeRows(): Row[] {
  const { readChanges } = ChangeService.method;
  return [
    row(
      readChanges,
      "viewer",
      { pageSize: 3 },
      {
        events: [{ revision: 1n }, { revision: 2n }, { revision: 3n }],
        position: expect.stringMatching(/^3-/),
        more: true,
      },
    ),
    row(
      readChanges,
      "owner",
      (answers) => ({ position: answers.of(readChanges).position, pageSize: 1, wait: durationFromMs(1_000) }),
      { events: [{ revision: 4n }], position: expect.stringMatching(/^4-/) },
    ),
  ];
}

/** @param name sets the tenant that is made apart from those of other callers */
export function tenantRows(name: string): Row[] {
  const tenantId = `made-by-${name}`;
  return [
    row(
      tenants.createTenant,
      "service owner",
      { tenantId, name: "Übersee", tier: Tier.ASSISTED },
      { tenant: { id: tenantId, name: "Übersee", tier: Tier.ASSISTED } },
    ),
    row(
      tenants.getTenant,
      "service owner",
      { tenantId },
      { tenant: expect.not.objectContaining({ usage: expect.anything() }) },
    ),
    row(tenants.getTenant, "viewer", {}, { tenant: { usage: { events: expect.any(BigInt) } } }),
    row(
      tenants.listTenants,
      "service owner",
      { pageSize: 1 },
      { tenants: [{ id: expect.any(String) }], nextPageToken: expect.stringMatching(/./) },
    ),
    row(
      tenants.setTier,
      "service owner",
      { tenantId, tier: Tier.ADAPTIVE, settings: { callsPerSecond: 7 } },
      { tenant: { id: tenantId, tier: Tier.ADAPTIVE, settings: { callsPerSecond: 7 } } },
    ),
    row(
      tenants.suspendTenant,
      "service owner",
      { tenantId, reason: "unpaid" },
      { tenant: { state: TenantState.SUSPENDED, stateReason: "unpaid" } },
    ),
    row(
      tenants.resumeTenant,
      "service owner",
      { tenantId },
      { tenant: { state: TenantState.ACTIVE, stateReason: "" } },
    ),
    row(
      tenants.closeTenant,
      "service owner",
      { tenantId, reason: "moved on" },
      { tenant: { state: TenantState.CLOSED, deleteAt: { nanos: expect.any(Number) } } },
    ),
    row(
      tenants.createKey,
      "owner",
      { name: "for a day", role: Role.VIEWER, expiresAt: timestampFromDate(new Date("2099-01-01")) },
      { key: { name: "for a day", role: Role.VIEWER }, secret: expect.stringMatching(/^lead_viewer_/) },
    ),
    row(tenants.listKeys, "owner", { pageSize: 1 }, { keys: [{ name: "for a day" }] }),
    row(tenants.revokeKey, "owner", (answers) => ({ keyId: answers.of(tenants.createKey).key?.id ?? "" }), {
      key: { name: "for a day", revokedAt: { nanos: expect.any(Number) } },
    }),
    row(
      tenants.createLink,
      "operator",
      { orderId: ORDER, lifetime: durationFromMs(60_000) },
      { token: expect.stringMatching(/^link_/) },
    ),
    row(
      tenants.listAuditEvents,
      "owner",
      { pageSize: 2 },
      {
        events: [
          { revision: 1n, actor: "service-owner", change: { value: { act: "TenantService.CreateTenant" } } },
          { revision: 2n, change: { case: "administered", value: { act: "TenantService.CreateKey" } } },
        ],
        nextPageToken: expect.stringMatching(/./),
      },
    ),
  ];
}
