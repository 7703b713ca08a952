import { hash } from "node:crypto";
import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal, Visibility } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Decide, SubjectRef } from "../domain/subject.ts";
import type { Command, RequestIdentity } from "../journal/journal.ts";
import { encode } from "../wire/encode.ts";
import type { Call } from "./call.ts";

/** What a service adds to a call to make it a command. */
export interface CommandPart<A> {
  readonly subjects: readonly SubjectRef[];
  readonly decide: Decide<A>;
}

/** The command of a call: tenant and actor from the principal, the request's identity from its `request_id`, if it has one. */
export function commandFor<I extends DescMessage, O extends DescMessage>(
  call: Call,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  part: CommandPart<MessageShape<O>>,
): Command<O> {
  const encoded = encode(method.input, request);
  return {
    tenant: tenantOf(call),
    actor: call.principal.id,
    subjects: part.subjects,
    request: requestIdentity(call.principal, method, request, encoded),
    bytes: encoded.length,
    decide: part.decide,
    answer: method.output,
  };
}

/** The tenant that a call works in. The service owner works in none: PERMISSION_DENIED. */
export function tenantOf(call: Call): string {
  const { principal } = call;
  if (principal.kind !== "service-owner") return principal.tenant;
  throw new Refusal(ErrorReason.ROLE_FORBIDS, "the service owner sees no tenant's data; call with a key of the tenant");
}

/** The role that a principal acts in; undefined: it has none, as links and the service owner. */
export function roleOf(principal: Principal): Role | undefined {
  return "role" in principal ? principal.role : undefined;
}

/** What a principal may see. */
export function visibilityOf(principal: Principal): Visibility {
  if (principal.kind === "link") return { class: "link", orderId: principal.orderId };
  if (principal.kind !== "service-owner" && principal.role === Role.CARRIER) {
    return { class: "carrier", carrier: principal.carrier };
  }
  return { class: "staff" };
}

/**
 * A request's identity; undefined: it has no `request_id`. Scope: tenant (the table's key), principal and method. The hash covers
 * the whole request, its id included.
 */
export function requestIdentity<I extends DescMessage>(
  principal: Principal,
  method: DescMethodUnary<I>,
  request: MessageShape<I>,
  encoded?: Uint8Array,
): RequestIdentity | undefined {
  const id = "requestId" in request ? request.requestId : "";
  if (typeof id !== "string" || id === "") return undefined;
  const key = digest(JSON.stringify([principal.id, `${method.parent.typeName}/${method.name}`, id]));
  return { key, hash: digest(encoded ?? encode(method.input, request)) };
}

/** The identity of a part of a request that is carried out by itself. */
export function partOf({ key, hash }: RequestIdentity, part: string): RequestIdentity {
  return { key: digest(Buffer.concat([key, Buffer.from(part, "utf8")])), hash };
}

function digest(data: string | Uint8Array): Uint8Array {
  return hash("sha256", data, "buffer").subarray(0, 16);
}
