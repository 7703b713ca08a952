import { create, toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { CodeList, CodeListSchema, type CodeMapping, CodeMappingSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { UpdateCodeMappingsResponseSchema } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, withConnection } from "./connection.ts";
import { type Flows, withFlows } from "./flow-calls.ts";
import { allPages } from "./pages.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { numberOf, oneWord, wordOf, wordsOf } from "./words.ts";

const help = `
A code of a partner's list means a milestone; which status an order takes from it is for its flow to say. Your own meanings go
before those that ship with the service, and those for one carrier before those for all:
  leadline flows codes --list x12_315                          what the codes of one list mean
  leadline flows codes --set x12_315:OA=GATE_OUT               the same for all carriers
  leadline flows codes --set iata_fsu:DIS@LH=DISCREPANCY!      for one carrier; ! says that something went wrong
  leadline flows codes --set iata_fsu:OCI=                     known, and moves nothing
  leadline flows codes --remove iata_fsu:OCI                   what ships with the service holds again
  leadline import --retry                                      try again what waited for it`;

interface CodesOptions extends ConnectionOptions {
  readonly list?: CodeList;
  readonly own?: boolean;
  readonly set: readonly CodeMapping[];
  readonly remove: readonly CodeMapping[];
}

/** `leadline flows codes`. */
export function flowCodesCommand(terminal: Terminal): Command {
  const command = new Command("codes")
    .description("list what partners' codes mean, and change it")
    .option(
      "--list <list>",
      `only of this list: ${wordsOf(CodeListSchema).join(", ")}`,
      oneWord<CodeList>(CodeListSchema),
    )
    .option("--own", "only your own")
    .option("--set <meaning...>", "set own meanings: LIST:CODE[@CARRIER]=MILESTONE", setting, [])
    .option("--remove <code...>", "remove own meanings: LIST:CODE[@CARRIER]", removal, [])
    .addHelpText("after", help);
  return withConnection(command).action((options: CodesOptions) => runCodes(options, terminal));
}

function runCodes(options: CodesOptions, terminal: Terminal): Promise<void> {
  const changes = options.set.length + options.remove.length > 0;
  return withFlows(options, terminal, ({ calls }) => (changes ? change : list)(calls, options, terminal));
}

type Calls = Flows["calls"];

async function change(calls: Calls, { set, remove, json }: CodesOptions, terminal: Terminal): Promise<void> {
  const answer = await calls.updateCodeMappings({ set: [...set], remove: [...remove] });
  if (json) return terminal.out.json(toJson(UpdateCodeMappingsResponseSchema, answer, { alwaysEmitImplicit: true }));
  const { ownMappings, workItemsMapped, unknownMilestones } = answer;
  for (const milestone of unknownMilestones) {
    await terminal.err.line(
      `no list that ships and no flow of yours has a milestone ${plain(milestone)}: orders take no status from it`,
    );
  }
  await terminal.out.line(`${set.length} set, ${remove.length} removed; ${ownMappings} of your own`);
  if (workItemsMapped === 0) return;
  const waited = workItemsMapped === 1 ? "1 work item waited for it" : `${workItemsMapped} work items waited for it`;
  await terminal.out.line(`${waited}: leadline import --retry tries again, 500 at a time`);
}

async function list(calls: Calls, { list: codeList, own, json }: CodesOptions, terminal: Terminal): Promise<void> {
  const request = { codeList: codeList ?? CodeList.UNSPECIFIED, ownOnly: own ?? false, pageSize: 1000 };
  const mappings = await allPages(
    (pageToken) => calls.listCodeMappings({ ...request, pageToken }),
    (page) => page.mappings,
  );
  if (json) {
    for (const one of mappings) await terminal.out.json(toJson(CodeMappingSchema, one));
    return;
  }
  const rows = mappings.map((one) => [
    wordOf(CodeListSchema, one.codeList),
    plain(one.code),
    plain(one.carrier) || "-",
    one.milestone || "-",
    one.exception ? "exception" : "",
    one.own ? "own" : "",
    plain(one.meaning),
  ]);
  const header = ["LIST", "CODE", "CARRIER", "MILESTONE", "", "", "MEANING"];
  for (const line of table(header, rows)) await terminal.out.line(line);
}

/** `x12_315:OA@MAEU=GATE_OUT!`: list, code, perhaps the carrier; then the milestone, and ! where something went wrong. */
function setting(text: string, before: readonly CodeMapping[]): readonly CodeMapping[] {
  const at = text.lastIndexOf("=");
  const [, milestone = "", mark = ""] = /^([A-Z][A-Z0-9_]*|)(!?)$/i.exec(text.slice(at + 1)) ?? [undefined, "", "?"];
  if (at < 0 || mark === "?") throw wrongUse(`"${text}" is no meaning`, "write LIST:CODE[@CARRIER]=MILESTONE");
  const said = { milestone: milestone.toUpperCase(), exception: mark === "!" };
  return [...before, create(CodeMappingSchema, { ...codeIn(text.slice(0, at)), ...said })];
}

function removal(text: string, before: readonly CodeMapping[]): readonly CodeMapping[] {
  return [...before, create(CodeMappingSchema, codeIn(text))];
}

function codeIn(text: string) {
  const [, word, code, carrier = ""] = /^([A-Za-z0-9_-]+):([!-~]+?)(?:@([^@]+))?$/.exec(text) ?? [];
  if (word === undefined || code === undefined) {
    throw wrongUse(`"${text}" names no code`, "write LIST:CODE, or LIST:CODE@CARRIER");
  }
  // The descriptor's numbers are the enum's type.
  return { codeList: numberOf(CodeListSchema, word) as CodeList, code, carrier };
}
