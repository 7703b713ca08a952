import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { ResetReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import { LeadlineError } from "../client/leadline-error.ts";
import { Status } from "../client/status.ts";
import { CliError, Exit } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { plain } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { shownTimestamp } from "./times.ts";
import { wordOf } from "./words.ts";

const help = `
The events of orders and bookings in the order of the journal, oldest first. The last line on standard error is the position
to read on from. Needs the tier Adaptive.

Examples:
  leadline changes --json                        everything that is kept
  leadline changes --from 1042-3v9x2m8q1rabc     what came after a position
  leadline changes --follow --json | jq .        and what comes; Ctrl-C ends it`;

interface ChangesOptions extends ConnectionOptions {
  readonly from?: string;
  readonly follow?: boolean;
}

/** How long one call waits for an event; the call's own bound is longer. */
const WAIT_S = 25n;

/** `leadline changes`. */
export function changesCommand(terminal: Terminal): Command {
  const command = new Command("changes")
    .description("read the change feed page by page")
    .option("--from <position>", "read after this position (default: from the first event that is kept)")
    .option("--follow", "go on, and wait for what comes")
    .addHelpText("after", help);
  return withConnection(command).action((options: ChangesOptions) => readChanges(options, terminal));
}

async function readChanges(options: ChangesOptions, terminal: Terminal): Promise<void> {
  const interrupted = terminal.interrupted();
  const client = connect(options, terminal.env);
  const feed = client.service(ChangeService);
  const wait = options.follow ? { wait: { seconds: WAIT_S } } : {};
  let position = options.from ?? "";
  try {
    for (let more = true; more && !interrupted.aborted; ) {
      const page = await feed.readChanges({ position, ...wait }, { signal: interrupted });
      if (page.reset) throw resetOf(page.reset.reason, page.reset.head);
      for (const event of page.events) await tell(event, options, terminal);
      position = page.position;
      more = page.more || options.follow === true;
    }
  } catch (error) {
    // Whoever waits is interrupted in the middle of a call.
    if (!(interrupted.aborted && error instanceof LeadlineError && error.code === Status.CANCELLED)) throw error;
  } finally {
    client.close();
  }
  await terminal.err.line(position);
  if (interrupted.aborted) terminal.exit = Exit.INTERRUPTED;
}

async function tell(event: Event, { json }: ChangesOptions, terminal: Terminal): Promise<void> {
  if (json) return terminal.out.json(toJson(EventSchema, event));
  const { revision, recordedAt, subjectId, version, change } = event;
  const what = change.case ?? "unknown";
  await terminal.out.line(`${revision}  ${shownTimestamp(recordedAt)}  ${plain(subjectId)}  v${version}  ${what}`);
}

function resetOf(reason: number, head: string): CliError {
  return new CliError(
    Exit.REFUSED,
    wordOf(ResetReasonSchema, reason),
    "the position cannot be continued: what was read before may not be what the journal holds",
    `take a new snapshot (ListOrders, ListBookings), and read on with --from ${head}`,
  );
}
