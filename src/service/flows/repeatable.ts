import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { EntityManager } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../../domain/refusal.ts";
import type { RequestIdentity } from "../../journal/journal.ts";
import type { Call } from "../call.ts";
import { requestIdentity, tenantOf } from "../command.ts";

/**
 * Does the work of a call in its unit of work; a call with the `request_id` of an earlier one does nothing and is answered as that
 * one was. Who comes while the first is at it waits for its end. Refuses with REQUEST_ID_REUSED.
 */
export async function once<I extends DescMessage, O extends DescMessage>(
  em: EntityManager,
  call: Call,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  work: () => Promise<MessageShape<O>>,
): Promise<MessageShape<O>> {
  const identity = requestIdentity(call.principal, method, request);
  if (identity === undefined) return work();
  const tenant = tenantOf(call);
  const inserted = await em.execute(
    `insert into request (tenant_id, key, hash, answer, recorded_at)
     values (?, decode(?, 'hex'), decode(?, 'hex'), '', clock_timestamp()) on conflict do nothing returning 1`,
    [tenant, hex(identity.key), hex(identity.hash)],
  );
  if (inserted.length === 0) {
    const known = await answered(em, tenant, method.output, identity);
    if (known !== undefined) return known;
  }
  const answer = await work();
  await em.execute(`update request set answer = decode(?, 'hex') where tenant_id = ? and key = decode(?, 'hex')`, [
    ...[hex(toBinary(method.output, answer)), tenant, hex(identity.key)],
  ]);
  return answer;
}

/** What a call was answered that had the same `request_id`; undefined: there was none. Refuses with REQUEST_ID_REUSED. */
export async function answeredBefore<I extends DescMessage, O extends DescMessage>(
  em: EntityManager,
  call: Call,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
): Promise<MessageShape<O> | undefined> {
  const identity = requestIdentity(call.principal, method, request);
  return identity && answered(em, tenantOf(call), method.output, identity);
}

async function answered<O extends DescMessage>(
  em: EntityManager,
  tenant: string,
  output: O,
  { key, hash }: RequestIdentity,
): Promise<MessageShape<O> | undefined> {
  const [known] = await em.execute<{ same: boolean; answer: string }[]>(
    `select hash = decode(?, 'hex') as same, encode(answer, 'hex') as answer from request
     where tenant_id = ? and key = decode(?, 'hex')`,
    [hex(hash), tenant, hex(key)],
  );
  if (known === undefined) return undefined;
  if (known.same) return fromBinary(output, Buffer.from(known.answer, "hex"));
  throw new Refusal(
    ErrorReason.REQUEST_ID_REUSED,
    "the request id was used before with another request; draw a new id for a new request",
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
