import { create, toJson } from "@bufbuild/protobuf";
import {
  type DryRunOrder,
  DryRunOrderSchema,
  StatusMappingSchema,
} from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Exit, wrongUse } from "./cli-error.ts";
import type { Flows } from "./flow-calls.ts";
import { progressOn } from "./progress.ts";

/* Orders that go from one flow to another: what would become of them, and the move itself. */

interface MoveOptions {
  readonly map: readonly string[];
  readonly ended?: boolean;
}

/** `leadline flows dry-run`. */
export async function dryRun(
  flows: Flows,
  [flowId]: [string],
  options: MoveOptions & { ordersOf?: string },
): Promise<void> {
  const { calls, json, terminal } = flows;
  const sums = { examined: 0, stranded: 0, moved: 0 };
  let pageToken = "";
  do {
    const page = await calls.dryRunStatusFlow({
      flowId,
      ordersOfFlowId: options.ordersOf ?? "",
      mappings: mappings(options.map),
      includeEnded: options.ended ?? false,
      pageToken,
    });
    for (const order of page.orders) await tellOrder(flows, order);
    sums.examined += page.examined;
    sums.stranded += page.stranded;
    sums.moved += page.moved;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  if (json) await terminal.out.json({ summary: sums });
  else
    await terminal.out.line(`${sums.examined} orders: ${sums.stranded} stranded, ${sums.moved} would stand elsewhere`);
  if (sums.stranded > 0) terminal.exit = Exit.REFUSED;
}

async function tellOrder({ json, terminal }: Flows, order: DryRunOrder): Promise<void> {
  if (json) return terminal.out.json(toJson(DryRunOrderSchema, order));
  const unknown = order.unknownCodes.length > 0 ? `  unknown: ${order.unknownCodes.join(" ")}` : "";
  const verdict = order.stranded ? "stranded" : "moves";
  await terminal.out.line(
    `${verdict.padEnd(8)}  ${order.orderId}  ${order.status} -> ${order.newStatus || "?"}${unknown}`,
  );
}

const GO_ON = "what was moved stays moved; run the same command again to go on";

/** `leadline flows move`. */
export async function move(flows: Flows, _: [], options: MoveOptions & { from: string; to?: string }): Promise<void> {
  const { calls, json, terminal } = flows;
  const interrupted = terminal.interrupted();
  const progress = progressOn(terminal.err);
  const sums = { moved: 0, unmapped: 0 };
  let pageToken = "";
  do {
    const page = await calls
      .migrateOrders({
        fromFlowId: options.from,
        toFlowId: options.to ?? "",
        mappings: mappings(options.map),
        includeEnded: options.ended ?? false,
        pageToken,
      })
      .catch(async (error: unknown) => {
        progress.clear();
        if (pageToken !== "") await terminal.err.line(`broken off after ${sums.moved} moved: ${GO_ON}`);
        throw error;
      });
    progress.clear();
    for (const order of page.unmapped) await tellOrder(flows, order);
    sums.moved += page.moved;
    sums.unmapped += page.unmapped.length;
    const done = sums.moved + sums.unmapped;
    progress.show(done, done + Number(page.remaining), options.to ?? options.from);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && !interrupted.aborted);
  progress.clear();
  if (json) await terminal.out.json({ summary: { ...sums, finished: pageToken === "" } });
  else {
    const left = sums.unmapped > 0 ? `, ${sums.unmapped} left: a status of theirs becomes nothing` : "";
    await terminal.out.line(`${sums.moved} moved${left}`);
  }
  if (interrupted.aborted && pageToken !== "") {
    await terminal.err.line(`interrupted: ${GO_ON}`);
    terminal.exit = Exit.INTERRUPTED;
  } else if (sums.unmapped > 0) terminal.exit = Exit.REFUSED;
}

/** Reads one `--map OLD=NEW` more. */
export function mapping(pair: string, before: readonly string[]): readonly string[] {
  if (!/^[A-Z][A-Z0-9_]*=[A-Z][A-Z0-9_]*$/.test(pair)) throw wrongUse(`"${pair}" is no mapping; write OLD=NEW`);
  return [...before, pair];
}

function mappings(pairs: readonly string[]) {
  return pairs.map((pair) => {
    const [from = "", to = ""] = pair.split("=");
    return create(StatusMappingSchema, { from, to });
  });
}
