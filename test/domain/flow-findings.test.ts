import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import {
  type FlowDefinition,
  FlowDefinitionSchema,
  FlowFindingKindSchema,
  type FlowStatusSchema,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { findingsOf, isPublishable } from "../../src/domain/flows/findings.ts";
import { TEMPLATES } from "../../src/domain/flows/templates.ts";
import { STANDARD_DEFINITION } from "../../src/domain/standard-flow.ts";

type StatusInit = MessageInitShape<typeof FlowStatusSchema>;
type DefinitionInit = MessageInitShape<typeof FlowDefinitionSchema>;

const names = { en: "a name" };
const start: StatusInit = { code: "NEW", phase: Phase.RECEIVED, names, next: ["MOVING"] };
const moving: StatusInit = { code: "MOVING", phase: Phase.IN_TRANSIT, names, next: ["DONE"] };
const done: StatusInit = { code: "DONE", phase: Phase.DELIVERED, names, endsJourney: true };
const lost: StatusInit = { code: "LOST", phase: Phase.IN_TRANSIT, names };

function flow(...statuses: StatusInit[]): FlowDefinition {
  return create(FlowDefinitionSchema, { statuses });
}

function withMilestones(...milestones: NonNullable<DefinitionInit["milestones"]>): FlowDefinition {
  return create(FlowDefinitionSchema, { statuses: [start, moving, done], milestones });
}

const before = flow(start, { ...moving, code: "OLD" }, done);

/** What has exactly this finding, and on which status. */
const cases: readonly [string, string, FlowDefinition, FlowDefinition?][] = [
  ["EMPTY", "", flow()],
  ["DUPLICATE_CODE", "DONE", flow(start, moving, { ...done, formerCodes: ["NEW"] })],
  ["DUPLICATE_CODE", "MOVING", flow(start, { ...moving, formerCodes: ["CANCELLED"] }, done)],
  ["UNKNOWN_STATUS", "MOVING", flow(start, { ...moving, next: ["DONE", "NOWHERE"] }, done)],
  ["UNKNOWN_STATUS", "NOWHERE", withMilestones({ milestone: "DEPARTED", status: "NOWHERE" })],
  ["PHASE_MISSING", "MOVING", flow(start, { ...moving, phase: Phase.UNSPECIFIED }, done)],
  ["PHASE_MISSING", "MOVING", flow(start, { ...moving, phase: Phase.CANCELLED }, done)],
  ["UNREACHABLE", "LOST", flow(start, moving, { ...lost, next: ["DONE"] }, done)],
  ["DEAD_END", "LOST", flow(start, { ...moving, next: ["LOST", "DONE"] }, lost, done)],
  ["NO_WAY_TO_END", "LOST", flow(start, { ...moving, next: ["LOST", "DONE"] }, { ...lost, next: ["LOST"] }, done)],
  ["NO_END", "", flow(start, { ...moving, next: ["MOVING"] })],
  ["PHASE_GOES_BACK", "MOVING", flow(start, { ...moving, next: ["NEW", "DONE"] }, done)],
  ["END_CONTINUES", "DONE", flow(start, moving, { ...done, next: ["DONE"] })],
  ["END_CONTINUES", "DONE", flow(start, moving, { ...done, expectedTime: { seconds: 60n } })],
  ["START_PHASE", "MOVING", flow(moving, done)],
  ["START_PHASE", "NEW", flow({ ...start, retired: true }, moving, done)],
  [
    "UNREACHABLE",
    "DONE",
    flow(start, { ...moving, next: ["LOST", "END"] }, { ...lost, next: ["DONE"], retired: true }, done, {
      ...done,
      code: "END",
    }),
  ],
  [
    "DEAD_END",
    "MOVING",
    flow(
      { ...start, next: ["MOVING", "DONE"] },
      { ...moving, next: ["LOST"] },
      { ...lost, next: ["DONE"], retired: true },
      done,
    ),
  ],
  [
    "NO_WAY_TO_END",
    "MOVING",
    flow(
      { ...start, next: ["MOVING", "DONE"] },
      { ...moving, next: ["MOVING", "LOST"] },
      { ...lost, next: ["DONE"], retired: true },
      done,
    ),
  ],
  ["DUPLICATE_CODE", "DONE", flow(start, moving, { ...done, formerCodes: ["DONE"] })],
  ["NEXT_AMBIGUOUS", "MOVING", flow(start, { ...moving, nextAnyLater: true }, done)],
  ["STATUS_LOST", "OLD", flow(start, moving, done), before],
  ["NAME_MISSING", "MOVING", flow(start, { ...moving, names: {} }, done)],
  [
    "MILESTONE_DOUBTFUL",
    "",
    withMilestones({ milestone: "DEPARTED", status: "MOVING" }, { milestone: "DEPARTED", status: "DONE" }),
  ],
  ["MILESTONE_DOUBTFUL", "", withMilestones({ milestone: "TELEPORTED", status: "MOVING" })],
  ["REPORTER_CANNOT", "MOVING", flow(start, { ...moving, reporters: [Role.VIEWER] }, done)],
];

describe("findings", () => {
  test.for(cases)("%s of %s", ([kind, status, definition, published]) => {
    const findings = findingsOf(definition, published);
    expect(findings.map((one) => FlowFindingKindSchema.value[one.kind]?.localName)).toEqual([kind]);
    if (status !== "") expect(findings[0]?.status).toBe(status);
    expect(findings[0]?.message).toMatch(/.{10}/);
  });

  test("every kind has a case", () => {
    const tried = new Set(cases.map(([kind]) => kind));
    const kinds = FlowFindingKindSchema.values.filter(({ number }) => number !== 0).map(({ localName }) => localName);
    expect(kinds.filter((kind) => !tried.has(kind))).toEqual([]);
  });

  test("a milestone that only a document's state leads to is known", () => {
    expect(findingsOf(withMilestones({ milestone: "BKG_CONFIRMED", status: "MOVING" }))).toEqual([]);
  });

  test("what is kept under a former code, or retired, is not lost", () => {
    expect(findingsOf(flow(start, { ...moving, formerCodes: ["OLD"] }, done), before)).toEqual([]);
    const retired = { ...lost, code: "OLD", retired: true, next: ["DONE"] };
    expect(findingsOf(flow(start, moving, retired, done), before)).toEqual([]);
  });

  test("a phase that goes back is none where it is marked", () => {
    expect(findingsOf(flow(start, { ...moving, next: ["NEW", "DONE"], phaseMayGoBack: true }, done))).toEqual([]);
  });

  test("warnings do not stand in the way, errors do", () => {
    expect(isPublishable(findingsOf(flow(moving, done)))).toBe(true);
    expect(isPublishable(findingsOf(flow(start, moving)))).toBe(false);
  });
});

test.each([["standard", STANDARD_DEFINITION] as const, ...TEMPLATES.map((one) => [one.id, one.definition] as const)])(
  "%s, which ships, has no findings, and whoever may report may report all of it",
  (_id, definition) => {
    expect(findingsOf(definition)).toEqual([]);
    expect(definition.statuses.filter(({ reporters }) => reporters.length > 0)).toEqual([]);
  },
);
