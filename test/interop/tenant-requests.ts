import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect } from "vitest";
import { ImportOutcome, ImportService, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import { equipmentEvent22 } from "../fixtures/dcsa/events.ts";
import { CARRIERS } from "../support/app.ts";
import { ORDER } from "./order-requests.ts";
import { type Row, row } from "./rows.ts";

const imports = ImportService.method;
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
  ];
}
