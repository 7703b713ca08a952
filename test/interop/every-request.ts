import { bookingRows } from "./booking-requests.ts";
import { flowRows } from "./flow-requests.ts";
import { orderRows } from "./order-requests.ts";
import type { Row } from "./rows.ts";
import { changeRows, codeRows, importRows, tenantRows } from "./tenant-requests.ts";

/**
 * A valid request for every unary RPC, in an order in which all of them succeed on a new tenant.
 *
 * @param name sets apart what is unique in the whole deployment: ids of tenants
 */
export function everyRequest(name: string): Row[] {
  const ofTenant = [...importRows(), ...flowRows(), ...codeRows(), ...changeRows(), ...tenantRows(name)];
  return [...orderRows(), ...bookingRows(), ...ofTenant];
}
