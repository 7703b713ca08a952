import { readFileSync } from "node:fs";
import { create, toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import { FlagSchema, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import {
  FindingSeverity,
  type FlowFinding,
  FlowFindingKindSchema,
  FlowFindingSchema,
  StatusFlowSchema,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import { SimulatedStepSchema } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role, RoleSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import { Exit, wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, withConnection } from "./connection.ts";
import { withExamples } from "./examples.ts";
import { type Flows, withFlows } from "./flow-calls.ts";
import { flowCodesCommand } from "./flow-codes.ts";
import { dryRun, mapping, move } from "./flow-moves.ts";
import { allPages } from "./pages.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { oneWord, wordOf, wordsOf } from "./words.ts";

const help = `
A flow is drafted, checked, tried, published, and orders are moved to it when you say so:
  leadline flows list --templates                        your flows, and those that ship with the service
  leadline flows export template-ocean > ocean.yaml      start from a template; edit id, statuses, names
  leadline flows import ocean.yaml                       make the draft; findings are printed
  leadline flows validate ocean                          the draft's findings again
  leadline flows simulate ocean BOOKED SAILED DELIVERED  step through it without an order
  leadline flows dry-run ocean --orders-of standard      what would become of the orders that are open now
  leadline flows publish ocean --default                 new orders start in it
  leadline flows move --from standard --to ocean         move the open orders; --map OLD=NEW where codes differ
What the codes of your partners mean is another matter: leadline flows codes --help`;

/** `leadline flows`. */
export function flowsCommand(terminal: Terminal): Command {
  const flows = new Command("flows").description("define, try and publish statuses of your own");
  const add = <A extends unknown[], O>(command: Command, run: (flows: Flows, args: A, options: O) => Promise<void>) => {
    flows.addCommand(
      withConnection(command).action((...given: unknown[]) => {
        const options = given.at(-2) as O & ConnectionOptions; // commander: the arguments, the options, the command
        return withFlows(options, terminal, (on) => run(on, given.slice(0, -2) as A, options));
      }),
    );
  };
  add(new Command("list").description("list the flows").option("--templates", "the templates too"), list);
  add(
    new Command("export")
      .description("print a flow as YAML")
      .argument("<id>")
      .option("--at <n>", "this version (default: the draft, else the newest)", count),
    exportFlow,
  );
  add(
    new Command("import").description("take a flow's draft from YAML; - is standard input").argument("<file>"),
    importFlow,
  );
  add(new Command("validate").description("tell what is not right with a flow's draft").argument("<id>"), validate);
  add(
    new Command("simulate")
      .description("report statuses one after another, without an order")
      .argument("<id>")
      .argument("<status...>", "statuses; milestone:DEPARTED for a milestone that a carrier reports")
      .option(
        "--as <role>",
        `as whom: ${wordsOf(RoleSchema).join(", ")} (default: whoever may)`,
        oneWord<Role>(RoleSchema),
      ),
    simulate,
  );
  add(
    new Command("dry-run")
      .description("tell what would become of orders")
      .argument("<id>")
      .option("--orders-of <id>", "orders of this flow (default: of the flow itself)")
      .option("--map <old=new...>", "what a status becomes", mapping, [])
      .option("--ended", "orders whose journey has ended, too"),
    dryRun,
  );
  add(
    new Command("publish")
      .description("make the draft the next version")
      .argument("<id>")
      .option("--default", "new orders start in it"),
    publish,
  );
  add(
    new Command("move")
      .description("move orders to a flow's newest version")
      .requiredOption("--from <id>", "the flow that they are in")
      .option("--to <id>", "the flow that they go to (default: the same, its newest version)")
      .option("--map <old=new...>", "what a status becomes", mapping, [])
      .option("--ended", "orders whose journey has ended, too"),
    move,
  );
  flows.addCommand(flowCodesCommand(terminal));
  return withExamples(flows, help);
}

async function list({ calls, json, terminal }: Flows, _: [], options: { templates?: boolean }): Promise<void> {
  const flows = await allPages(
    (pageToken) => calls.listStatusFlows({ pageSize: 1000, pageToken, includeTemplates: options.templates ?? false }),
    (page) => page.flows,
  );
  if (json) {
    for (const flow of flows) await terminal.out.json(toJson(StatusFlowSchema, flow));
    return;
  }
  const rows = flows.map((flow) => [
    flow.id,
    flow.publishedVersion === 0 ? "-" : String(flow.publishedVersion),
    flow.draft ? "draft" : "",
    flow.isDefault ? "default" : flow.isTemplate ? "template" : "",
    plain(flow.name),
  ]);
  for (const line of table(["ID", "VERSION", "DRAFT", "", "NAME"], rows)) await terminal.out.line(line);
}

async function exportFlow(
  { calls, json, terminal }: Flows,
  [flowId]: [string],
  options: { at?: number },
): Promise<void> {
  const { yaml } = await calls.exportStatusFlow({ flowId, version: options.at ?? 0 });
  if (json) await terminal.out.json({ yaml });
  else await terminal.out.line(yaml.trimEnd());
}

async function importFlow(flows: Flows, [file]: [string]): Promise<void> {
  const { flow, findings } = await flows.calls.importStatusFlow({ yaml: readText(file) });
  if (!flows.json) await flows.terminal.out.line(`draft of ${flow?.id} taken`);
  await tellFindings(flows, findings);
}

async function validate(flows: Flows, [flowId]: [string]): Promise<void> {
  const { findings } = await flows.calls.validateStatusFlow({ subject: { case: "flowId", value: flowId } });
  await tellFindings(flows, findings);
}

async function tellFindings({ json, terminal }: Flows, findings: readonly FlowFinding[]): Promise<void> {
  const isError = (finding: FlowFinding) => finding.severity === FindingSeverity.ERROR;
  for (const finding of findings) {
    if (json) await terminal.out.json(toJson(FlowFindingSchema, finding));
    else {
      const weight = isError(finding) ? "error" : "warning";
      const at = finding.line > 0 ? `line ${finding.line}: ` : "";
      const kind = wordOf(FlowFindingKindSchema, finding.kind);
      await terminal.out.line(`${weight.padEnd(8)} ${at}${kind}: ${plain(finding.message)}`);
    }
  }
  if (findings.some(isError)) terminal.exit = Exit.REFUSED;
  else if (!json) await terminal.out.line("it can be published");
}

async function simulate(
  { calls, json, terminal }: Flows,
  [flowId, statuses]: [string, string[]],
  options: { as?: Role },
): Promise<void> {
  const reports = statuses.map((word) => {
    const milestone = /^milestone:(.*)$/.exec(word)?.[1];
    return create(ReportSchema, milestone === undefined ? { status: word } : { milestone });
  });
  const reporter = options.as ?? Role.UNSPECIFIED;
  const { steps } = await calls.simulateStatusFlow({ subject: { case: "flowId", value: flowId }, reports, reporter });
  if (json) {
    for (const step of steps) await terminal.out.json(toJson(SimulatedStepSchema, step));
    return;
  }
  const rows = steps.map((step, i) => [
    statuses[i - 1] ?? "(created)",
    step.status,
    wordOf(PhaseSchema, step.phase),
    step.refusal ||
      step.flags.map((flag) => wordOf(FlagSchema, flag)).join(" ") ||
      (step.ended ? "the journey ends" : ""),
    step.next.join(" "),
  ]);
  for (const line of table(["REPORTED", "STATUS", "PHASE", "", "NEXT"], rows)) await terminal.out.line(plain(line));
  if (steps.some((step) => step.refusal !== "")) terminal.exit = Exit.REFUSED;
}

async function publish(
  { calls, json, terminal }: Flows,
  [flowId]: [string],
  options: { default?: boolean },
): Promise<void> {
  const { flow, version } = await calls.publishStatusFlow({ flowId, makeDefault: options.default ?? false });
  if (json && flow) return terminal.out.json(toJson(StatusFlowSchema, flow));
  await terminal.out.line(
    `${flowId} version ${version?.version}${flow?.isDefault ? ", the default of new orders" : ""}`,
  );
}

function count(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw wrongUse(`"${text}" is no version; they are 1, 2, 3 ...`);
  return Number(text);
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw wrongUse(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
