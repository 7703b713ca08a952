import { create, toJson } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { ReportStatusResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { type Place, PlaceSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, ClassifierSchema, FlagSchema, ReportOutcomeSchema } from "../../gen/leadline/v1/report_pb.ts";
import { wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { plain } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { parseLocalTime } from "./times.ts";
import { manyTexts, oneWord, wholeNumber, wordOf, wordsOf } from "./words.ts";

const help = `
A report is an observation: it is never refused for coming late, out of order or twice. What does not fit is recorded and
flagged, unless --refuse-if-unfit is given. Sent again with the same --request-id, or the same --source and --id, it
counts once.

Examples:
  leadline report --order po-7 --status IN_TRANSIT --place NLRTM --at 2026-11-22T10:00+01:00
  leadline report --order po-7 --status DELIVERED --classifier ESTIMATED --at 2026-12-01T12:00Z
  leadline report --order po-7 --status DELIVERED --unit MSKU1234565 --line 10=40`;

interface ReportOptions extends ConnectionOptions {
  readonly order: string;
  readonly status?: string;
  readonly milestone?: string;
  readonly classifier: Classifier;
  readonly at?: string;
  readonly timeZone?: string;
  readonly place?: string;
  readonly leg?: number;
  readonly unit?: string[];
  readonly line?: string[];
  readonly source?: string;
  readonly id?: string;
  readonly updatedAt?: string;
  readonly reason?: string;
  readonly remark?: string;
  readonly exception?: boolean;
  readonly refuseIfUnfit?: boolean;
  readonly requestId?: string;
}

/** `leadline report`. */
export function reportCommand(terminal: Terminal): Command {
  const command = new Command("report")
    .description("report a status of an order: that something happened, is expected, or was planned")
    .requiredOption("--order <id>", "the order")
    .option("--status <code>", "the status: RECEIVED, PROCESSING, BOOKED, READY, IN_TRANSIT, ARRIVED, ...")
    .option("--milestone <kind>", "the milestone that it moves: GATE_IN, LOADED, DEPARTED, ...")
    .addOption(
      new Option("--classifier <word>", wordsOf(ClassifierSchema).join(", "))
        .argParser(oneWord(ClassifierSchema))
        .default(Classifier.ACTUAL, "ACTUAL"),
    )
    .option("--at <time>", "when, ISO 8601; without an offset it counts as of an unknown zone (default: now)")
    .option("--time-zone <name>", "the place's IANA time zone")
    .option("--place <place>", "a UN/LOCODE, or a name")
    .option("--leg <number>", "the transport leg", wholeNumber(1, 100))
    .option("--unit <id>", "a container, ULD or piece that it speaks of; may be repeated", manyTexts)
    .option("--line <line=quantity>", "a quantity that it speaks of; may be repeated", manyTexts)
    .option("--source <name>", "who observed (default: the key's name)")
    .option("--id <id>", "the source's own id of the observation (default: drawn)")
    .option("--updated-at <time>", "when the source last said so (default: now)")
    .option("--reason <code>", "why: a reason code")
    .option("--remark <text>", "a remark for people")
    .option("--exception", "something went wrong")
    .option("--refuse-if-unfit", "refuse the report when it does not fit the flow")
    .option("--request-id <id>", "makes the call repeatable")
    .addHelpText("after", help);
  return withConnection(command).action((options: ReportOptions) => report(options, terminal));
}

async function report(options: ReportOptions, terminal: Terminal): Promise<void> {
  if (options.status === undefined && options.milestone === undefined) {
    throw wrongUse("nothing is reported", "give --status, --milestone, or both");
  }
  const client = connect(options, terminal.env);
  try {
    const response = await client.orders.reportStatus({
      requestId: options.requestId ?? "",
      orderId: options.order,
      refuseIfUnfit: options.refuseIfUnfit === true,
      report: reportOf(options),
    });
    if (options.json) return await terminal.out.json(toJson(ReportStatusResponseSchema, response));
    const flags = response.flags.map((flag) => wordOf(FlagSchema, flag));
    const outcome = wordOf(ReportOutcomeSchema, response.outcome).toLowerCase().replaceAll("_", " ");
    const flagged = flags.length > 0 ? `, flagged ${flags.join(", ")}` : "";
    await terminal.out.line(
      `${options.order}: ${outcome}${flagged}; it is ${plain(response.status)}, version ${response.version}` +
        ` (report ${plain(response.sourceId)}, position ${response.position})`,
    );
  } finally {
    client.close();
  }
}

function reportOf(options: ReportOptions) {
  const sourceUpdatedAt = options.updatedAt === undefined ? undefined : parseLocalTime(options.updatedAt).instant;
  return {
    source: options.source ?? "",
    sourceId: options.id ?? "",
    classifier: options.classifier,
    status: options.status?.toUpperCase() ?? "",
    milestone: options.milestone?.toUpperCase() ?? "",
    occurredAt: parseLocalTime(options.at ?? new Date().toISOString(), options.timeZone),
    leg: options.leg ?? 0,
    unitIds: options.unit ?? [],
    lines: (options.line ?? []).map(lineQuantity),
    reasonCode: options.reason ?? "",
    remark: options.remark ?? "",
    exception: options.exception === true,
    ...(options.place === undefined ? {} : { place: placeOf(options.place) }),
    ...(sourceUpdatedAt === undefined ? {} : { sourceUpdatedAt }),
  };
}

function placeOf(text: string): Place {
  const isUnlocode = /^[A-Z]{2}[A-Z2-9]{3}$/.test(text);
  return create(PlaceSchema, isUnlocode ? { unlocode: text } : { name: text });
}

function lineQuantity(text: string): { lineId: string; quantity: bigint } {
  const [, lineId, quantity] = /^(.{1,64})=(\d{1,13})$/.exec(text) ?? [];
  if (lineId === undefined || quantity === undefined) {
    throw wrongUse(`--line "${text}" is no line and quantity`, "write it like --line 10=40");
  }
  return { lineId, quantity: BigInt(quantity) };
}
