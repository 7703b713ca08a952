import { create, toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import {
  ImportOutcome,
  ImportOutcomeSchema,
  type ImportResult,
  ImportResultSchema,
  MessageFormat,
  MessageFormatSchema,
  WorkItemSchema,
} from "../../gen/leadline/v1/import_service_pb.ts";
import { FlagSchema } from "../../gen/leadline/v1/report_pb.ts";
import { LeadlineError } from "../client/leadline-error.ts";
import type { LeadlineClient } from "../client/node.ts";
import { Status } from "../client/status.ts";
import { Exit, wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { listInbound } from "./import-inbound.ts";
import { chunksOf, type FileItem, itemsOf } from "./import-items.ts";
import { allPages } from "./pages.ts";
import { progressOn } from "./progress.ts";
import { repeatedly } from "./repeatedly.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { shownTimestamp } from "./times.ts";
import { oneWord, wordOf, wordsOf } from "./words.ts";

const help = `
A file holds one JSON object, an array of objects, or an object with an array "events"; - is standard input. Each item is
taken or refused by itself, and the line of each says what became of it:
  APPLIED        it was applied
  ALREADY_KNOWN  the same was known; nothing changed
  SUPERSEDED     the source has said something later; nothing changed
  WARNED         it was applied, with flags
  UNMATCHED      it fits no booking or order that is known, or its code is not mapped: it waits on the work list
  REFUSED        it is malformed or not allowed; nothing was kept
  PASSED_OVER    its code is known and moves nothing; nothing was recorded
Importing the same again changes nothing. The exit code is 1 when an item was refused.

Examples:
  leadline import --carrier MAEU booking.json events.json
  curl -s https://carrier.example/v3/events | leadline import --json -
  leadline import --carrier LH --format coded-event fsu.json
  leadline import --work-list
  leadline import --retry
  leadline import --inbound --source-id MSG-7`;

interface ImportOptions extends ConnectionOptions {
  readonly carrier?: string;
  readonly format?: MessageFormat;
  readonly workList?: boolean;
  readonly inbound?: boolean;
  readonly sourceId?: string;
  /** True: the oldest ones. */
  readonly retry?: true | string[];
}

/** An item as the user knows it, and what became of it. */
interface Told {
  readonly name: string;
  readonly result: ImportResult;
}

/** `leadline import`. */
export function importCommand(terminal: Terminal): Command {
  const command = new Command("import")
    .description("take DCSA booking requests, Track & Trace events and coded events as they are")
    .argument("[file...]", "JSON files; - is standard input")
    .option("--carrier <code>", "the carrier that sent them, where they do not say, or that the requests go to")
    .option(
      "--format <format>",
      `${wordsOf(MessageFormatSchema).join(", ")} (default: told from each message)`,
      oneWord<MessageFormat>(MessageFormatSchema),
    )
    .option("--work-list", "list what matched nothing, the oldest first")
    .option("--retry [id...]", "try work items again: these, or the 500 tried the longest ago")
    .option("--inbound", "list items as they came, the newest first, where your tier keeps them")
    .option("--source-id <id>", "with --inbound: only those with this id of their source")
    .addHelpText("after", help);
  return withConnection(command).action((files: string[], options: ImportOptions) =>
    runImport(files, options, terminal),
  );
}

async function runImport(files: string[], options: ImportOptions, terminal: Terminal): Promise<void> {
  const listed = [options.workList === true, options.inbound === true, options.retry !== undefined];
  const asked = [files.length > 0, ...listed].filter(Boolean);
  if (asked.length !== 1) throw wrongUse("give files, --work-list, --retry or --inbound: one of them");
  const items = files.flatMap(itemsOf);
  const client = connect(options, terminal.env);
  try {
    if (options.workList) await listWork(client, options, terminal);
    else if (options.inbound) {
      await listInbound(client.imports, options.sourceId ?? "", options.json === true, terminal);
    } else if (options.retry !== undefined) await retryWork(client, options.retry, options, terminal);
    else await importItems(client, items, options, terminal);
  } finally {
    client.close();
  }
}

async function importItems(
  client: LeadlineClient,
  items: readonly FileItem[],
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const interrupted = terminal.interrupted();
  const progress = progressOn(terminal.err);
  const counts = new Map<ImportOutcome, number>();
  let done = 0;
  try {
    for (const chunk of chunksOf(items)) {
      if (interrupted.aborted) break;
      progress.show(done, items.length, chunk[0]?.file);
      const told = await send(client, chunk, options, interrupted);
      progress.clear();
      for (const one of told) await tell(one, counts, options, terminal);
      done += chunk.length;
    }
  } catch (error) {
    // An interruption in the middle of a call: what became of its items is not known, and they are in no count.
    if (!(interrupted.aborted && error instanceof LeadlineError && error.code === Status.CANCELLED)) throw error;
  } finally {
    progress.clear();
  }
  await summarize(counts, items.length, options, terminal);
  if (interrupted.aborted) terminal.exit = Exit.INTERRUPTED;
}

/** Sends what can be sent of a chunk; the results are in the order of the chunk. */
async function send(
  client: LeadlineClient,
  chunk: readonly FileItem[],
  options: ImportOptions,
  signal: AbortSignal,
): Promise<Told[]> {
  const sent = chunk.filter((item) => item.refused === undefined);
  const request = {
    format: options.format ?? MessageFormat.UNSPECIFIED,
    items: sent.map((item) => item.text),
    carrier: options.carrier ?? "",
  };
  // A second import of the same items changes nothing, so a call whose answer was lost is made again.
  const call = () => client.imports.importItems(request, { signal, timeoutMs: 120_000 });
  const results = sent.length === 0 ? [] : [...(await repeatedly(call, signal)).results];
  return chunk.map((item) => ({
    name: `${item.file}#${item.number}`,
    result: item.refused === undefined ? (results.shift() ?? unanswered()) : refusedHere(item.refused),
  }));
}

function refusedHere(refused: { reason: string; message: string }): ImportResult {
  return create(ImportResultSchema, { outcome: ImportOutcome.REFUSED, ...refused });
}

function unanswered(): ImportResult {
  return refusedHere({ reason: "INTERNAL", message: "the service answered with fewer results than there were items" });
}

async function tell(
  told: Told,
  counts: Map<ImportOutcome, number>,
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const { name, result } = told;
  counts.set(result.outcome, (counts.get(result.outcome) ?? 0) + 1);
  if (options.json) {
    const message = toJson(ImportResultSchema, result);
    await terminal.out.json({ item: name, ...(typeof message === "object" ? message : {}) });
    return;
  }
  const touched = [...result.bookingIds, ...result.orderIds].join(" ");
  const flags = result.flags.map((flag) => wordOf(FlagSchema, flag)).join(" ");
  const why = result.reason === "" ? "" : `${result.reason}: ${result.message}`;
  const workItem = result.workItemId === name ? "" : result.workItemId;
  const rest = [result.sourceId, touched, flags, why, workItem].filter((part) => part !== "").map(plain);
  await terminal.out.line([wordOf(ImportOutcomeSchema, result.outcome).padEnd(13), name, ...rest].join("  "));
}

/** The last line: what became of the items, of which `all` were given. Fewer were answered when it was interrupted. */
async function summarize(
  counts: ReadonlyMap<ImportOutcome, number>,
  all: number,
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const named = ImportOutcomeSchema.values
    .filter(({ number }) => number !== 0)
    .map(
      ({ number, localName }) => [localName, [...counts].find(([outcome]) => outcome === number)?.[1] ?? 0] as const,
    );
  if ((counts.get(ImportOutcome.REFUSED) ?? 0) > 0) terminal.exit = Exit.REFUSED;
  if (options.json) return await terminal.out.json({ summary: { items: total, ...Object.fromEntries(named) } });
  const parts = named
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name.toLowerCase().replaceAll("_", " ")}`);
  const asked = `${total < all ? `${total} of ` : ""}${all} ${all === 1 ? "item" : "items"}`;
  await terminal.out.line(`${asked}: ${parts.join(", ") || (all === 0 ? "nothing to do" : "none was answered")}`);
}

async function listWork(client: LeadlineClient, options: ImportOptions, terminal: Terminal): Promise<void> {
  const items = await allPages(
    (pageToken) => client.imports.listWorkItems({ pageSize: 1000, pageToken }),
    (page) => page.items,
  );
  if (options.json) {
    for (const item of items) await terminal.out.json(toJson(WorkItemSchema, item));
    return;
  }
  const rows = items.map((item) => [
    item.id,
    wordOf(MessageFormatSchema, item.format),
    plain(item.carrier) || "-",
    shownTimestamp(item.createdAt),
    String(item.tries),
    plain(item.sourceId) || "-",
    plain(`${item.reason}: ${item.message}`),
  ]);
  const header = ["ID", "FORMAT", "CARRIER", "CAME", "TRIES", "SOURCE ID", "WHY"];
  for (const line of table(header, rows)) await terminal.out.line(line);
}

async function retryWork(
  client: LeadlineClient,
  ids: true | readonly string[],
  options: ImportOptions,
  terminal: Terminal,
): Promise<void> {
  const chosen = ids === true ? [] : [...ids];
  const { results } = await client.imports.retryWorkItems({ ids: chosen }, { timeoutMs: 120_000 });
  const counts = new Map<ImportOutcome, number>();
  for (const [index, result] of results.entries()) {
    const name = chosen[index] ?? (result.workItemId || `work item ${index + 1}`);
    await tell({ name, result }, counts, options, terminal);
  }
  await summarize(counts, results.length, options, terminal);
}
