import { create } from "@bufbuild/protobuf";
import {
  Completeness,
  type OrderDetails,
  type OrderLine,
  Phase,
  type Progress,
  ProgressSchema,
  type UnitProgress,
  UnitProgressSchema,
} from "../../gen/leadline/v1/order_pb.ts";
import type { Unit } from "../../gen/leadline/v1/place_pb.ts";
import { quantityAt, unitsAt } from "./order-coverage.ts";
import { unitsOf } from "./order-extent.ts";
import type { Walk } from "./order-walk.ts";
import { rankOfPhase, type StatusFlow } from "./status-flow.ts";

/** How much of an order has left and has been delivered. */
export interface OrderProgress {
  readonly shipping: Progress;
  readonly delivery: Progress;
  /** The lines with their quantities; lines that did not change are the same objects. */
  readonly lines: OrderLine[];
  readonly unitProgress: UnitProgress[];
}

/** How far an order has come: what has left is at IN_TRANSIT or beyond, what is delivered at DELIVERED. */
export function progressOf(details: OrderDetails, walk: Walk, flow: StatusFlow): OrderProgress {
  const units = unitsOf(details);
  const shipped = stageOf(walk, rankOfPhase(flow, Phase.IN_TRANSIT));
  const delivered = stageOf(walk, rankOfPhase(flow, Phase.DELIVERED));
  return {
    shipping: stageProgress(details.lines, units.length, shipped),
    delivery: stageProgress(details.lines, units.length, delivered),
    lines: movedLines(details.lines, shipped, delivered),
    unitProgress: units.map((unit) => unitProgress(unit, walk)),
  };
}

/** How much has passed a stage: by line, and units. */
interface Stage {
  /** All of it has: the order itself has come to the stage. */
  readonly whole: boolean;
  readonly units: number;
  quantity(line: OrderLine): bigint;
}

function stageOf(walk: Walk, rank: number | undefined): Stage {
  if (rank === undefined) return { whole: false, units: 0, quantity: () => 0n };
  if (walk.status.rank >= rank) {
    return { whole: true, units: walk.coverage.units.size, quantity: (line) => line.quantity };
  }
  return {
    whole: false,
    units: unitsAt(walk.coverage, rank),
    quantity: (line) => BigInt(quantityAt(walk.coverage, line.id, rank)),
  };
}

function stageProgress(lines: readonly OrderLine[], unitsTotal: number, stage: Stage): Progress {
  let quantityDone = 0n;
  let quantityTotal = 0n;
  for (const line of lines) {
    quantityDone += stage.quantity(line);
    quantityTotal += line.quantity;
  }
  const some = quantityDone > 0n || stage.units > 0;
  const partly = some ? Completeness.PARTIAL : Completeness.NONE;
  const completeness = stage.whole ? Completeness.COMPLETE : partly;
  return create(ProgressSchema, { completeness, quantityDone, quantityTotal, unitsDone: stage.units, unitsTotal });
}

function movedLines(lines: OrderLine[], shipped: Stage, delivered: Stage): OrderLine[] {
  let moved = false;
  const after = lines.map((line) => {
    const now = { shipped: shipped.quantity(line), delivered: delivered.quantity(line) };
    if (now.shipped === line.shipped && now.delivered === line.delivered) return line;
    moved = true;
    return { ...line, ...now };
  });
  return moved ? after : lines;
}

function unitProgress(unit: Unit, walk: Walk): UnitProgress {
  const standing = walk.units.get(unit.id);
  const progress = create(UnitProgressSchema, { unitId: unit.id, status: standing?.status.code ?? "" });
  if (standing?.since) progress.since = standing.since;
  return progress;
}
