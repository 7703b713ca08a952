import { fromBinary } from "@bufbuild/protobuf";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { hasEnded as bookingHasEnded } from "../../src/domain/booking-transitions.ts";
import { evolve } from "../../src/domain/evolve.ts";
import { hasEnded } from "../../src/domain/order-status.ts";
import { STANDARD_FLOW } from "../../src/domain/standard-flow.ts";
import { type StatusFlow, statusFlow } from "../../src/domain/status-flow.ts";
import { type Flows, type Subject, SubjectKind } from "../../src/domain/subject.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { decodeSubject, encodeDetails, encodeSummary } from "../../src/wire/subject-row.ts";
import type { TestDatabase } from "../support/database.ts";

interface Row {
  tenant_id: string;
  kind: SubjectKind;
  id: string;
  status: string;
  stage: number;
  flow_id: string;
  flow_version: number;
  ended_at: Date | null;
  summary: Buffer;
  details: Buffer;
}

interface Stored {
  tenant_id: string;
  kind: SubjectKind;
  subject_id: string;
  recorded_at: Date;
  payload: Buffer;
}

interface Checkpoint extends Pick<Row, "tenant_id" | "kind" | "id" | "ended_at" | "summary" | "details"> {
  recorded_at: Date;
}

/** What was folded of one subject, and when it last began to be over. */
interface Folded {
  readonly subject: Subject;
  readonly endedAt: Date | undefined;
}

/**
 * Where a row is not the fold of its subject's events, from its checkpoint where its history was cut, byte for byte, in a line each: its state, the flow that it goes
 * through, and when its journey ended. Design, section 8, promise 5.
 */
export async function foldFaults(database: TestDatabase): Promise<string[]> {
  const flows = await flowsOf(database);
  const folded = new Map<string, Folded>();
  const checkpoints = await database.sql<Checkpoint>(
    `select c.tenant_id, c.kind, c.id, c.recorded_at, c.summary, c.details, s.ended_at from history_checkpoint c
     join subject s using (tenant_id, kind, id)`,
  );
  for (const one of checkpoints) {
    const subject = decodeSubject(one.kind, one, flows(one.tenant_id));
    // When it ended the checkpoint does not say, only that it was before.
    const endedAt = one.ended_at !== null && one.ended_at <= one.recorded_at ? one.ended_at : undefined;
    folded.set(keyOf(one.tenant_id, one.kind, one.id), { subject, endedAt });
  }
  const events = await database.sql<Stored>(
    `select e.tenant_id, e.kind, subject_id, e.recorded_at, payload from event e
     left join history_checkpoint c on c.tenant_id = e.tenant_id and c.kind = e.kind and c.id = e.subject_id
     where e.kind in (1, 2) and e.version > coalesce(c.version, 0) order by e.tenant_id, e.revision`,
  );
  for (const stored of events) fold(folded, stored, flows(stored.tenant_id));
  const rows = await database.sql<Row>(
    `select tenant_id, kind, id, status, stage, flow_id, flow_version, ended_at, summary, details from subject
     where kind in (1, 2)`,
  );
  return rows.flatMap((row) => {
    const one = folded.get(keyOf(row.tenant_id, row.kind, row.id));
    const differing = one === undefined ? ["it has no events"] : differences(row, one);
    return differing.map((what) => `tenant ${row.tenant_id}: row ${row.id} is not the fold of its events: ${what}`);
  });
}

function fold(folded: Map<string, Folded>, stored: Stored, flows: Flows): void {
  const { tenant_id: tenant, kind, subject_id: id } = stored;
  for (const { change, version, recordedAt } of decodeEvents(stored.payload)) {
    if (change.case === undefined || recordedAt === undefined) throw new Error(`an event of ${id} changes nothing`);
    const key = keyOf(tenant, kind, id);
    const before = folded.get(key);
    const subject = evolve(before?.subject, change, { version, recordedAt }, { kind, id }, flows);
    const endedAt = isOver(subject) ? (before?.endedAt ?? stored.recorded_at) : undefined;
    folded.set(key, { subject, endedAt });
  }
}

function differences(row: Row, { subject, endedAt }: Folded): string[] {
  const is = [row.status, row.stage, row.flow_id, row.flow_version];
  const due =
    subject.kind === SubjectKind.ORDER
      ? [subject.order.status, subject.order.phase, subject.order.flowId, subject.order.flowVersion]
      : ["", subject.booking.state, "", 0];
  return [
    Buffer.compare(row.summary, encodeSummary(subject)) === 0 ? "" : "its summary",
    Buffer.compare(row.details, encodeDetails(subject)) === 0 ? "" : "its details",
    JSON.stringify(is) === JSON.stringify(due) ? "" : `it says ${is.join(" ")} in place of ${due.join(" ")}`,
    row.ended_at?.getTime() === endedAt?.getTime()
      ? ""
      : `it ended at ${row.ended_at?.toISOString()} in place of ${endedAt?.toISOString()}`,
  ].filter((what) => what !== "");
}

function isOver(subject: Subject): boolean {
  return subject.kind === SubjectKind.ORDER ? hasEnded(subject.order) : bookingHasEnded(subject.booking);
}

async function flowsOf(database: TestDatabase): Promise<(tenant: string) => Flows> {
  const versions = await database.sql<{ tenant_id: string; flow_id: string; version: number; definition: Buffer }>(
    "select tenant_id, flow_id, version, definition from status_flow_version",
  );
  const known = new Map<string, StatusFlow>();
  for (const { tenant_id: tenant, flow_id: id, version, definition } of versions) {
    known.set(`${tenant} ${id} ${version}`, statusFlow({ id, version }, fromBinary(FlowDefinitionSchema, definition)));
  }
  return (tenant) =>
    ({ id, version }) => {
      const flow = id === "" ? STANDARD_FLOW : known.get(`${tenant} ${id} ${version}`);
      if (flow === undefined) throw new Error(`${tenant} has no version ${version} of flow ${id}`);
      return flow;
    };
}

function keyOf(tenant: string, kind: SubjectKind, id: string): string {
  return `${tenant}\0${kind}\0${id}`;
}
