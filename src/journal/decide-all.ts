import type { FlowRef } from "../domain/status-flow.ts";
import type { SubjectRef } from "../domain/subject.ts";
import type { Connection } from "../store/connection.ts";
import type { FlowLibrary } from "../store/flow-library.ts";
import { Fields } from "../store/question.ts";
import type { Batch, Needs } from "./batch.ts";
import { subjectMapKey } from "./batch-subjects.ts";
import type { Pending } from "./command-queue.ts";
import { rowsOf } from "./portion.ts";
import { questions } from "./questions.ts";

/* The middle of a transaction: commands of a batch are decided, and what their decisions ask for is loaded under its locks. */

/** How often one command may ask for further subjects, or for flows. Each time costs a round trip under the locks. */
const MAX_LOADS = 8;

const NOTHING: Needs = { subjects: [], flows: [] };

/** Something of a tenant. */
interface Asked<Ref> {
  readonly tenant: string;
  readonly ref: Ref;
}

/** Decides in order; a tenant whose command needs more waits, with its later commands, until that is loaded. */
export async function decideAll(
  batch: Batch,
  commands: readonly Pending[],
  connection: Connection,
  flows: FlowLibrary,
): Promise<void> {
  const loads = new Map<Pending, number>();
  const foreseen = new Set<Pending>();
  for (let left = commands; left.length > 0; ) {
    const needs: Asked<SubjectRef>[] = [];
    const unknown: Asked<FlowRef>[] = [];
    const later: Pending[] = [];
    const waiting = new Set<string>();
    const foresee = (pending: Pending) => {
      if (foreseen.has(pending)) return NOTHING; // once is enough: what it finds too late is one load more
      foreseen.add(pending);
      return { subjects: batch.foresee(pending), flows: [] };
    };
    for (const pending of left) {
      const { tenant } = pending.command;
      const missing = waiting.has(tenant) ? foresee(pending) : decideOrGiveUp(batch, pending, loads);
      if (isMore(missing)) waiting.add(tenant);
      for (const ref of missing.subjects) needs.push({ tenant, ref });
      for (const ref of missing.flows) unknown.push({ tenant, ref });
      if (waiting.has(tenant)) later.push(pending);
    }
    if (needs.length > 0) await loadMore(batch, needs, connection);
    if (unknown.length > 0) await fetchFlows(unknown, connection, flows);
    left = later;
  }
}

async function loadMore(batch: Batch, needs: readonly Asked<SubjectRef>[], connection: Connection): Promise<void> {
  const unique = [...new Map(needs.map((need) => [subjectMapKey(need.tenant, need.ref), need])).values()];
  const [result] = await connection.flight([questions.subjects(unique)], true);
  const rows = rowsOf(result, unique);
  for (const { tenant, ref } of unique) batch.load(tenant, [ref], rows);
}

/** By the batch's own connection: it waits for nobody while it holds the heads. One that does not exist stays missing. */
async function fetchFlows(asked: readonly Asked<FlowRef>[], connection: Connection, flows: FlowLibrary): Promise<void> {
  const question = questions.flows(asked);
  const [result] = await connection.flight([question], true);
  for (const row of result?.rows ?? []) {
    const flow = question.row(new Fields(row));
    flows.keep(flow.tenant, flow);
  }
}

/** Decides a command, or fails it when it never has enough. Returns what it needs first. */
function decideOrGiveUp(batch: Batch, pending: Pending, loads: Map<Pending, number>): Needs {
  const missing = batch.decide(pending);
  if (!isMore(missing)) return NOTHING;
  const times = loads.get(pending) ?? 0;
  loads.set(pending, times + 1);
  if (times < MAX_LOADS) return missing;
  const [flow] = missing.flows;
  const what = flow === undefined ? "subjects" : `version ${flow.version} of flow "${flow.id}"`;
  batch.fail(pending, new Error(`a decision still needs ${what} after ${MAX_LOADS} loads`));
  return NOTHING;
}

function isMore({ subjects, flows }: Needs): boolean {
  return subjects.length > 0 || flows.length > 0;
}
