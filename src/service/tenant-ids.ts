import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

/** Whether a tenant can have the id; anything else is nobody's. */
export function isTenantId(id: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,39}$/.test(id);
}

export function tenantUnknown(id: string): Refusal {
  return new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${id}" is unknown`, { metadata: { tenant_id: id } });
}
