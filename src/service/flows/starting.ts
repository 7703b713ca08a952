import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../../domain/refusal.ts";
import { STANDARD_FLOW_ID } from "../../domain/standard-flow.ts";
import type { FlowRef } from "../../domain/status-flow.ts";
import type { JournalReader } from "../../journal/journal.ts";

/** The standard flow as orders and events bear it. */
const STANDARD: FlowRef = { id: "", version: 0 };

/**
 * The newest published version of a flow, as it is when it is asked for; an empty id: the tenant's default. Nothing is kept:
 * what was published through another instance holds at once. Refuses FLOW_UNKNOWN and FLOW_UNPUBLISHED.
 *
 * @param mayDefault whether the tenant's tier includes flows of its own: in another its default rests, and orders that name none
 *   start in the standard flow
 */
export async function startingRef(
  journal: JournalReader,
  tenant: string,
  flowId: string,
  mayDefault = true,
): Promise<FlowRef> {
  if (flowId === STANDARD_FLOW_ID || (flowId === "" && !mayDefault)) return STANDARD;
  const { id, published } = await journal.startingFlow(tenant, flowId);
  if (id === "") return STANDARD;
  if (published === undefined) throw flowUnknown(id);
  if (published === 0) throw flowUnpublished(id);
  return { id, version: published };
}

export function flowUnknown(id: string, version = 0): Refusal {
  const which = version === 0 ? `flow "${id}"` : `version ${version} of flow "${id}"`;
  return new Refusal(ErrorReason.FLOW_UNKNOWN, `${which} is unknown; ListStatusFlows lists what there is`, {
    metadata: { flow_id: id, ...(version > 0 && { version: String(version) }) },
  });
}

export function flowUnpublished(id: string): Refusal {
  return new Refusal(ErrorReason.FLOW_UNPUBLISHED, `flow "${id}" has no published version; publish it first`, {
    metadata: { flow_id: id },
  });
}
