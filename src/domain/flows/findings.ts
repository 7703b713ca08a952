import { create } from "@bufbuild/protobuf";
import { Phase, PhaseSchema } from "../../../gen/leadline/v1/order_pb.ts";
import {
  FindingSeverity,
  type FlowDefinition,
  type FlowFinding,
  FlowFindingKind,
  FlowFindingSchema,
  type FlowStatus,
  MilestoneScope,
} from "../../../gen/leadline/v1/status_flow_pb.ts";
import { Role, RoleSchema } from "../../../gen/leadline/v1/tenant_pb.ts";
import { CANCELLED } from "../status-flow.ts";
import { KNOWN_MILESTONES } from "./code-lists.ts";

/**
 * What is not right with a definition, in the order of its statuses, then what concerns the whole of it. `before` is the
 * version that it shall follow: no status of it may get lost, because orders have it.
 */
export function findingsOf(definition: FlowDefinition, before?: FlowDefinition): FlowFinding[] {
  const { statuses } = definition;
  if (statuses.length === 0) {
    return [
      error(
        FlowFindingKind.EMPTY,
        "",
        "statuses",
        "the flow has no status; it needs at least one to start and one to end",
      ),
    ];
  }
  const graph = graphOf(statuses);
  // What is retired is not reported any more, so no way leads through it.
  const open = graphOf(statuses, (status) => !status.retired);
  const forward = reachable([statuses[0]?.code ?? ""], open.next);
  const ends = statuses.filter((status) => status.endsJourney && !status.retired).map((status) => status.code);
  const backward = reachable(ends, open.previous);
  return [
    ...statuses.flatMap((status, i) => [
      ...codeFindings(status, i, statuses),
      ...phaseFindings(status, i, graph),
      ...nextFindings(status, i, graph),
      ...wayFindings(status, i, { forward, backward, hasEnd: ends.length > 0, next: open.next }),
      ...wordFindings(status, i),
    ]),
    ...(ends.length > 0
      ? []
      : [error(FlowFindingKind.NO_END, "", "", "no status ends the journey; mark one `ends_journey`")]),
    ...milestoneFindings(definition, graph),
    ...lostFindings(definition, before),
  ];
}

/** Whether a definition with these findings can be published. */
export function isPublishable(findings: readonly FlowFinding[]): boolean {
  return findings.every((finding) => finding.severity !== FindingSeverity.ERROR);
}

/** Which status may follow which, as far as both exist. */
interface Graph {
  readonly byCode: ReadonlyMap<string, FlowStatus>;
  readonly next: ReadonlyMap<string, readonly string[]>;
  readonly previous: ReadonlyMap<string, readonly string[]>;
}

/** The codes that may follow a status, in the definition's order when they are not listed. */
function nextOf(status: FlowStatus, rank: number, statuses: readonly FlowStatus[]): string[] {
  return status.nextAnyLater ? statuses.slice(rank + 1).map((later) => later.code) : status.next;
}

/** Without `leadsTo` every status may be come to. */
function graphOf(statuses: readonly FlowStatus[], leadsTo: (status: FlowStatus) => boolean = () => true): Graph {
  const byCode = new Map(statuses.map((status) => [status.code, status]));
  const isOpen = (code: string) => {
    const status = byCode.get(code);
    return status !== undefined && leadsTo(status);
  };
  const next = new Map<string, string[]>();
  const previous = new Map<string, string[]>();
  for (const [rank, status] of statuses.entries()) {
    const codes = nextOf(status, rank, statuses).filter(isOpen);
    next.set(status.code, codes);
    for (const code of codes) previous.set(code, [...(previous.get(code) ?? []), status.code]);
  }
  return { byCode, next, previous };
}

function reachable(from: readonly string[], edges: ReadonlyMap<string, readonly string[]>): Set<string> {
  const seen = new Set(from);
  for (const code of seen) for (const other of edges.get(code) ?? []) seen.add(other); // a Set visits what is added
  return seen;
}

function codeFindings(status: FlowStatus, rank: number, statuses: readonly FlowStatus[]): FlowFinding[] {
  const own = [status.code, ...status.formerCodes];
  const fieldOf = (code: string) =>
    code === status.code ? `statuses[${rank}].code` : `statuses[${rank}].former_codes[${own.indexOf(code) - 1}]`;
  const findings: FlowFinding[] = [];
  if (own.includes(CANCELLED)) {
    const message = `${CANCELLED} is every flow's own, reached by CancelOrder`;
    findings.push(error(FlowFindingKind.DUPLICATE_CODE, status.code, fieldOf(CANCELLED), message));
  }
  if (status.formerCodes.includes(status.code)) {
    const message = `${status.code} is a former code of itself`;
    const field = `statuses[${rank}].former_codes[${status.formerCodes.indexOf(status.code)}]`;
    findings.push(error(FlowFindingKind.DUPLICATE_CODE, status.code, field, message, status.code));
  }
  for (const other of statuses.slice(0, rank)) {
    const shared = [other.code, ...other.formerCodes].find((code) => own.includes(code));
    if (shared === undefined) continue;
    const message = `${shared} is a code, or a former code, of ${other.code} and of ${status.code}`;
    findings.push(error(FlowFindingKind.DUPLICATE_CODE, status.code, fieldOf(shared), message, other.code));
  }
  return findings;
}

function phaseFindings(status: FlowStatus, rank: number, graph: Graph): FlowFinding[] {
  const field = `statuses[${rank}].phase`;
  if (status.phase === Phase.UNSPECIFIED || status.phase === Phase.CANCELLED) {
    const message = `${status.code} maps to no phase; filters and figures need one (${PHASES.join(", ")})`;
    return [error(FlowFindingKind.PHASE_MISSING, status.code, field, message)];
  }
  const findings: FlowFinding[] = [];
  if (rank === 0 && status.phase !== Phase.RECEIVED) {
    const message = `a new order has ${status.code}, which maps to ${phaseName(status.phase)} and not to RECEIVED`;
    findings.push(warning(FlowFindingKind.START_PHASE, status.code, field, message));
  }
  if (rank === 0 && status.retired) {
    const message = `a new order has ${status.code}, which is retired; put another status before it`;
    findings.push(warning(FlowFindingKind.START_PHASE, status.code, `statuses[${rank}].retired`, message));
  }
  if (status.phaseMayGoBack) return findings;
  for (const code of graph.next.get(status.code) ?? []) {
    const phase = graph.byCode.get(code)?.phase ?? Phase.UNSPECIFIED;
    if (phase === Phase.UNSPECIFIED || phase >= status.phase) continue;
    const message =
      `${code} may follow ${status.code}, and maps to the earlier phase ${phaseName(phase)}; ` +
      `mark ${status.code} \`phase_may_go_back\` if that is meant`;
    findings.push(error(FlowFindingKind.PHASE_GOES_BACK, status.code, nextField(status, rank, code), message, code));
  }
  return findings;
}

/** Where a status says what may follow it. */
function nextField(status: FlowStatus, rank: number, code: string): string {
  return status.nextAnyLater
    ? `statuses[${rank}].next_any_later`
    : `statuses[${rank}].next[${status.next.indexOf(code)}]`;
}

function nextFindings(status: FlowStatus, rank: number, graph: Graph): FlowFinding[] {
  const findings: FlowFinding[] = [];
  const at = `statuses[${rank}]`;
  if (status.nextAnyLater && status.next.length > 0) {
    const message = `${status.code} has both \`next\` and \`next_any_later\`; give one of them`;
    findings.push(error(FlowFindingKind.NEXT_AMBIGUOUS, status.code, `${at}.next`, message));
  }
  for (const [i, code] of status.next.entries()) {
    if (graph.byCode.has(code)) continue;
    const message = `${status.code} is followed by ${code}, which is not a status of the flow`;
    findings.push(error(FlowFindingKind.UNKNOWN_STATUS, status.code, `${at}.next[${i}]`, message, code));
  }
  if (status.endsJourney && (graph.next.get(status.code)?.length ?? 0) > 0) {
    const message = `something may follow ${status.code}, which ends the journey`;
    findings.push(warning(FlowFindingKind.END_CONTINUES, status.code, `${at}.ends_journey`, message));
  }
  if (status.endsJourney && status.expectedTime !== undefined) {
    const message = `${status.code} ends the journey, and an order stays in it: its expected time says nothing`;
    findings.push(warning(FlowFindingKind.END_CONTINUES, status.code, `${at}.expected_time`, message));
  }
  return findings;
}

interface Ways {
  readonly forward: ReadonlySet<string>;
  readonly backward: ReadonlySet<string>;
  readonly hasEnd: boolean;
  readonly next: Graph["next"];
}

function wayFindings(status: FlowStatus, rank: number, { forward, backward, hasEnd, next }: Ways): FlowFinding[] {
  const { code } = status;
  const findings: FlowFinding[] = [];
  if (!forward.has(code) && !status.retired) {
    const message = `no way leads to ${code}; let it follow a status that is not retired and that a way leads to`;
    findings.push(error(FlowFindingKind.UNREACHABLE, code, `statuses[${rank}]`, message));
  }
  if (status.endsJourney) return findings;
  if ((next.get(code)?.length ?? 0) === 0) {
    const message = `nothing may follow ${code}, and it does not end the journey: an order would stay in it for ever`;
    findings.push(error(FlowFindingKind.DEAD_END, code, `statuses[${rank}]`, message));
  } else if (hasEnd && !backward.has(code)) {
    const message = `no way leads from ${code} to a status that ends the journey`;
    findings.push(error(FlowFindingKind.NO_WAY_TO_END, code, `statuses[${rank}]`, message));
  }
  return findings;
}

/** The roles that may report statuses of orders; see service/permissions.ts. */
const REPORTERS: ReadonlySet<Role> = new Set([Role.OWNER, Role.OPERATOR, Role.CARRIER]);

function wordFindings(status: FlowStatus, rank: number): FlowFinding[] {
  const findings: FlowFinding[] = [];
  if (Object.keys(status.names).length === 0) {
    const message = `${status.code} has no name in any language`;
    findings.push(warning(FlowFindingKind.NAME_MISSING, status.code, `statuses[${rank}].names`, message));
  }
  for (const [i, role] of status.reporters.entries()) {
    if (REPORTERS.has(role)) continue;
    const message = `${status.code} may be reported by ${RoleSchema.value[role]?.localName ?? role}, which cannot report`;
    findings.push(error(FlowFindingKind.REPORTER_CANNOT, status.code, `statuses[${rank}].reporters[${i}]`, message));
  }
  return findings;
}

function milestoneFindings({ milestones }: FlowDefinition, graph: Graph): FlowFinding[] {
  const findings: FlowFinding[] = [];
  const seen = new Set<string>();
  for (const [i, { milestone, status, scope }] of milestones.entries()) {
    const at = `milestones[${i}]`;
    const key = `${milestone} ${scope || MilestoneScope.ANYWHERE}`;
    if (seen.has(key)) {
      const message = `milestone ${milestone} is listed twice for one place on the way`;
      findings.push(error(FlowFindingKind.MILESTONE_DOUBTFUL, status, at, message));
    }
    seen.add(key);
    if (!KNOWN_MILESTONES.has(milestone)) {
      const message = `milestone ${milestone} is none that partners' codes map to, unless your own mappings say so`;
      findings.push(warning(FlowFindingKind.MILESTONE_DOUBTFUL, status, `${at}.milestone`, message));
    }
    if (status !== "" && !graph.byCode.has(status)) {
      const message = `milestone ${milestone} gives ${status}, which is not a status of the flow`;
      findings.push(error(FlowFindingKind.UNKNOWN_STATUS, status, `${at}.status`, message));
    }
  }
  return findings;
}

function lostFindings(definition: FlowDefinition, before: FlowDefinition | undefined): FlowFinding[] {
  const kept = new Set(definition.statuses.flatMap((status) => [status.code, ...status.formerCodes]));
  return (before?.statuses ?? [])
    .flatMap((status) => [status.code, ...status.formerCodes])
    .filter((code) => !kept.has(code))
    .map((code) => {
      const message =
        `the version before has ${code}; keep it (retired, if it shall not be reported any more), ` +
        "or put it among the former codes of what it has become";
      return error(FlowFindingKind.STATUS_LOST, code, "", message);
    });
}

const PHASES = PhaseSchema.values
  .filter((value) => value.number !== Phase.UNSPECIFIED && value.number !== Phase.CANCELLED)
  .map((value) => value.localName);

function phaseName(phase: Phase): string {
  return PhaseSchema.value[phase]?.localName ?? String(phase);
}

type Said = readonly [kind: FlowFindingKind, status: string, field: string, message: string, otherStatus?: string];

function error(...said: Said): FlowFinding {
  return finding(FindingSeverity.ERROR, said);
}

function warning(...said: Said): FlowFinding {
  return finding(FindingSeverity.WARNING, said);
}

function finding(severity: FindingSeverity, [kind, status, field, message, otherStatus = ""]: Said): FlowFinding {
  return create(FlowFindingSchema, { kind, severity, status, otherStatus, message, field });
}
