import type { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import type { Implementation } from "./call.ts";
import { type FlowEditingParts, flowEditing } from "./flows/editing.ts";
import { type CodeMappingsParts, codeMappings } from "./flows/mappings.ts";
import { type FlowRollingParts, flowRolling } from "./flows/rolling.ts";

export type StatusFlowServiceParts = FlowEditingParts & FlowRollingParts & CodeMappingsParts;

/** The StatusFlowService: a tenant's own statuses, from draft to the orders that go through them, and partners' codes. */
export function createStatusFlowService(parts: StatusFlowServiceParts): Implementation<typeof StatusFlowService> {
  return { ...flowEditing(parts), ...flowRolling(parts), ...codeMappings(parts) };
}
