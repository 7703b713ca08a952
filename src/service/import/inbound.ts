import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { EntityManager } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import {
  type ImportResult,
  ImportResultSchema,
  type InboundMessage,
  InboundMessageSchema,
} from "../../../gen/leadline/v1/import_service_pb.ts";
import { Refusal } from "../../domain/refusal.ts";
import type { InboundMessageRow } from "../../store/entities.ts";
import { addInbound, type InboundPlace } from "../../store/inbound-messages.ts";
import { drawId } from "../../wire/draw-id.ts";
import type { Call } from "../call.ts";
import { tenantOf } from "../command.ts";
import { formatFrom, ITEM_BYTES_MAX, type Item } from "./items.ts";

/** An item as it came, and what became of it. */
export interface Received {
  readonly item: Item;
  readonly result: ImportResult;
}

/**
 * Keeps items as they came. Where that cannot be done, nothing else of the unit of work is undone: it is a savepoint of its own,
 * and `onFault` is told.
 */
export async function keepReceived(
  em: EntityManager,
  call: Call,
  received: readonly Received[],
  at: Date,
  onFault: (error: unknown) => void,
): Promise<void> {
  // One import has one time: among its items the ids tell the order, as they do for the newest first.
  const ids = received.map(() => drawId("msg")).sort();
  const rows = received.map((one, i) => rowOf(call, one, ids[i] ?? "", at));
  try {
    await em.transactional((inner) => addInbound(inner, rows));
  } catch (error) {
    onFault(error);
  }
}

function rowOf(call: Call, { item, result }: Received, id: string, receivedAt: Date): InboundMessageRow {
  return {
    id,
    tenantId: tenantOf(call),
    format: item.format,
    carrier: item.carrier,
    sourceId: result.sourceId,
    // Postgres keeps no U+0000 in a text; an item with one is refused anyway, and so is one that is too long.
    item: Buffer.byteLength(item.text) > ITEM_BYTES_MAX ? "" : item.text.replaceAll("\0", "\ufffd"),
    actor: call.principal.id,
    result: Buffer.from(toBinary(ImportResultSchema, result)),
    receivedAt,
  } as InboundMessageRow;
}

export function inboundMessage(row: InboundMessageRow): InboundMessage {
  const { id, carrier, item, actor } = row;
  return create(InboundMessageSchema, {
    ...{ id, carrier, item, actor },
    format: formatFrom(row.format),
    receivedAt: timestampFromDate(row.receivedAt),
    result: fromBinary(ImportResultSchema, row.result),
  });
}

export function inboundCursor({ receivedAt, id }: InboundPlace): string {
  return `${receivedAt.toISOString()} ${id}`;
}

export function inboundPlace(cursor: string): InboundPlace {
  const [at = "", id = ""] = cursor.split(" ");
  const receivedAt = new Date(at);
  if (!Number.isNaN(receivedAt.getTime()) && id !== "") return { receivedAt, id };
  throw new Refusal(ErrorReason.PAGE_TOKEN_INVALID, "the page token belongs to another list");
}
