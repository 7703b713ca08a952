import { Argument, Command } from "commander";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import type { createLeadlineClient } from "../client/node.ts";
import type { ResumeOptions } from "../client/resumable-watch.ts";
import { Exit, wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, connect, resolveConnection, withConnection } from "./connection.ts";
import { PositionFile } from "./position-file.ts";
import type { Terminal } from "./terminal.ts";
import { bookingFilter, type FilterOptions, orderFilter, withFilters } from "./watch-filter.ts";
import type { Display } from "./watch-live.ts";
import { type Item, jsonOf, lineOf } from "./watch-text.ts";
import { whyOf } from "./watch-view.ts";

const help = `
In a terminal the subjects are shown as a table that stays current; otherwise, and with --lines, one line for each change.
The watch reconnects and resumes by itself. Ctrl-C ends it.

Examples:
  leadline watch                                          all orders, live
  leadline watch bookings --carrier MAEU --space ROLLED,PARTIAL
  leadline watch --phase IN_TRANSIT --json | jq .         one JSON object a line
  leadline watch --resume orders.position --json          continue where the last run ended`;

interface WatchCommandOptions extends ConnectionOptions, FilterOptions {
  readonly since?: string;
  readonly resume?: string;
  /** False with --no-snapshot. */
  readonly snapshot: boolean;
  readonly latest?: boolean;
  readonly lines?: boolean;
}

type Kind = "orders" | "bookings";

/** `leadline watch`. */
export function watchCommand(terminal: Terminal): Command {
  const command = new Command("watch")
    .description("follow orders or bookings as they change")
    .addArgument(new Argument("[what]").choices(["orders", "bookings"]).default("orders"));
  withFilters(command)
    .option("--since <position>", "continue after this position in place of listing what is there")
    .option("--resume <file>", "keep the position in a file, and continue from it")
    .option("--no-snapshot", "do not list first what is there")
    .option("--latest", "newest states only when there is much to catch up with")
    .option("--lines", "one line for each change, in a terminal too")
    .addHelpText("after", help);
  return withConnection(command).action((kind: Kind, options: WatchCommandOptions) => watch(kind, options, terminal));
}

async function watch(kind: Kind, options: WatchCommandOptions, terminal: Terminal): Promise<void> {
  if (options.since !== undefined && options.resume !== undefined) {
    throw wrongUse("--since and --resume both say where to continue", "give one of them");
  }
  const file = options.resume === undefined ? undefined : new PositionFile(options.resume);
  const interrupted = terminal.interrupted();
  const display = await displayFor(kind, options, terminal);
  const client = connect(options, terminal.env);
  try {
    const items = open(client, kind, options, {
      position: options.since ?? file?.read(),
      includeSnapshot: options.snapshot && options.since === undefined,
      signal: interrupted,
      onConnection: (state) => display.connection(state),
    });
    for await (const item of items) {
      await display.item(item, items.position);
      if (items.position !== undefined || item.type === "reset") file?.keep(items.position);
    }
  } finally {
    display.close();
    client.close();
    file?.flush();
  }
  if (interrupted.aborted) terminal.exit = Exit.INTERRUPTED;
}

function open(
  client: ReturnType<typeof createLeadlineClient>,
  kind: Kind,
  options: WatchCommandOptions,
  resume: ResumeOptions,
): AsyncIterable<Item> & { readonly position: string | undefined } {
  const mode = options.latest === true ? WatchMode.LATEST : WatchMode.ALL;
  return kind === "orders"
    ? client.watchOrders({ ...resume, mode, filter: orderFilter(options) })
    : client.watchBookings({ ...resume, mode, filter: bookingFilter(options) });
}

async function displayFor(kind: Kind, options: WatchCommandOptions, terminal: Terminal): Promise<Display> {
  const { address } = resolveConnection(options, terminal.env);
  if (terminal.out.isTerminal && !options.json && !options.lines) {
    // What draws in a terminal takes a tenth of any command's start to load.
    const { liveView } = await import("./watch-live.ts");
    return liveView(kind, address, terminal.out);
  }
  return {
    connection(state) {
      if (state.state !== "waiting" || state.error === undefined) return;
      terminal.err.stream.write(`-- ${address}, again in ${Math.ceil(state.delayMs / 1000)} s${whyOf(state.error)}\n`);
    },
    async item(item) {
      if (options.json) return await terminal.out.json(jsonOf(item));
      const line = lineOf(item);
      if (line !== undefined) await terminal.out.line(line);
    },
    close() {},
  };
}
