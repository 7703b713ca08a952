/**
 * Status flows as YAML, for the people who define them. What is written is what is read: `readFlow(writeFlow(flow))` is the
 * flow again.
 *
 *     id: ocean
 *     name: Ocean, container
 *     statuses:
 *       - code: RECEIVED
 *         phase: RECEIVED
 *         names: { en: Received }
 *         next: any later        # or a list of codes
 *         expected: 24h          # d, h, m, s
 */
import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { stringify } from "yaml";
import { Phase, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  type FlowDefinition,
  FlowDefinitionSchema,
  type FlowStatus,
  FlowStatusSchema,
  MilestoneScope,
  type MilestoneStatus,
  MilestoneStatusSchema,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import { Role, RoleSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import { type Fields, readYaml } from "./yaml-fields.ts";

/** A flow as it is written. */
export interface WrittenFlow {
  readonly id: string;
  readonly name: string;
  readonly definition: FlowDefinition;
}

/** A flow as it was read from a file. */
export interface ReadFlow extends WrittenFlow {
  /** The line that says what a field of the contract is (`flow_id`, `statuses[3].next[1]`), or where it would stand. */
  lineOf(field: string): number;
}

/** What FlowDefinition takes. */
const STATUSES_MAX = 100;
const MILESTONES_MAX = 200;

const ANY_LATER = "any later";

const SCOPES: Readonly<Record<string, MilestoneScope>> = {
  anywhere: MilestoneScope.ANYWHERE,
  "first departure": MilestoneScope.FIRST_DEPARTURE,
  "last arrival": MilestoneScope.LAST_ARRIVAL,
};

export function writeFlow({ id, name, definition }: WrittenFlow): string {
  const { statuses, milestones } = definition;
  const document = {
    id,
    name,
    statuses: statuses.map(writeStatus),
    ...(milestones.length > 0 && { milestones: milestones.map(writeMilestone) }),
  };
  return stringify(document, { lineWidth: 120 });
}

/** Leaves out what is as it would be without saying so. */
function writeStatus(status: FlowStatus): Record<string, unknown> {
  const written: Record<string, unknown> = { code: status.code };
  if (status.phase !== Phase.UNSPECIFIED) written.phase = PhaseSchema.value[status.phase]?.localName;
  if (Object.keys(status.names).length > 0) written.names = status.names;
  if (status.description !== "") written.description = status.description;
  if (status.nextAnyLater) written.next = ANY_LATER;
  else if (status.next.length > 0) written.next = status.next;
  if (status.endsJourney) written.ends_journey = true;
  if (status.expectedTime) written.expected = writeDuration(status.expectedTime);
  if (status.reporters.length > 0) {
    written.reporters = status.reporters.map((role) => RoleSchema.value[role]?.localName.toLowerCase());
  }
  if (status.retired) written.retired = true;
  if (status.formerCodes.length > 0) written.former_codes = status.formerCodes;
  if (status.phaseMayGoBack) written.phase_may_go_back = true;
  return written;
}

function writeMilestone({ milestone, status, scope }: MilestoneStatus): Record<string, unknown> {
  const where = Object.entries(SCOPES).find(([, value]) => value === scope)?.[0] ?? "anywhere";
  return { milestone, where, status };
}

/**
 * Reads a flow. Refuses with FLOW_UNREADABLE, which tells the line and column, what is not YAML or has a field, a type or a
 * word that flows do not have. Whether the flow makes sense is for `findingsOf` to say.
 */
export function readFlow(text: string): ReadFlow {
  const { root, placeOf } = readYaml(text, "the flow");
  const flow = {
    id: root.text("id"),
    name: root.text("name", ""),
    definition: create(FlowDefinitionSchema, {
      statuses: root.list("statuses", "a status", STATUSES_MAX).map(readStatus),
      milestones: root.list("milestones", "a milestone", MILESTONES_MAX).map(readMilestone),
    }),
  };
  root.done();
  return { ...flow, lineOf: (field) => placeOf(pathInFile(field)).line };
}

/** The words of the file for fields of the contract that it calls otherwise. */
const FILE_WORDS: Readonly<Record<string, string>> = {
  flow_id: "id",
  expected_time: "expected",
  next_any_later: "next",
  scope: "where",
};

/** `statuses[3].names["en"]` as keys and indices of the file. */
function pathInFile(field: string): (string | number)[] {
  return [...field.matchAll(/\["([^"]*)"\]|\[(\d+)\]|([a-z_]+)/g)].map(([, key, index, name = ""]) =>
    index === undefined ? (key ?? FILE_WORDS[name] ?? name) : Number(index),
  );
}

function readStatus(fields: Fields): FlowStatus {
  const next = fields.textOrTexts("next");
  if (typeof next === "string" && next !== ANY_LATER) throw fields.wrong("next", `"${ANY_LATER}" or a list of codes`);
  const status = create(FlowStatusSchema, {
    code: fields.text("code"),
    phase: fields.word("phase", PHASES, Phase.UNSPECIFIED),
    names: fields.texts("names"),
    description: fields.text("description", ""),
    next: typeof next === "string" ? [] : next,
    nextAnyLater: typeof next === "string",
    endsJourney: fields.flag("ends_journey"),
    reporters: fields.words("reporters", ROLES),
    retired: fields.flag("retired"),
    formerCodes: fields.textList("former_codes"),
    phaseMayGoBack: fields.flag("phase_may_go_back"),
  });
  const expected = fields.text("expected", "");
  if (expected !== "") {
    const duration = readDuration(expected);
    if (duration === undefined) throw fields.wrong("expected", "a time such as 36h, 2d or 1d12h");
    status.expectedTime = duration;
  }
  fields.done();
  return status;
}

function readMilestone(fields: Fields): MilestoneStatus {
  const milestone = create(MilestoneStatusSchema, {
    milestone: fields.text("milestone"),
    status: fields.text("status", ""),
    scope: fields.word("where", SCOPES, MilestoneScope.ANYWHERE),
  });
  fields.done();
  return milestone;
}

const PHASES: Readonly<Record<string, Phase>> = wordsOf(Phase);

const ROLES: Readonly<Record<string, Role>> = Object.fromEntries(
  Object.entries(wordsOf(Role)).map(([word, role]) => [word.toLowerCase(), role]),
);

/** The values of an enum by their names, without the one that says nothing. */
function wordsOf<T extends number>(values: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== 0));
}

const UNITS = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000 } as const;

function writeDuration(duration: Duration): string {
  let rest = durationMs(duration);
  let text = "";
  for (const [unit, ms] of Object.entries(UNITS)) {
    const count = Math.floor(rest / ms);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * ms;
  }
  return text;
}

function readDuration(text: string): Duration | undefined {
  const match = /^(?:(\d{1,5})d)?(?:(\d{1,6})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?$/.exec(text);
  if (match === null || text === "") return undefined;
  const [, d = 0, h = 0, m = 0, s = 0] = match;
  return durationFromMs(Number(d) * UNITS.d + Number(h) * UNITS.h + Number(m) * UNITS.m + Number(s) * UNITS.s);
}
