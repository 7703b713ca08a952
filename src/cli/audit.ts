import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Exit } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { plain } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { shownTimestamp } from "./times.ts";

const help = `
Every administrative act in the tenant and every access by support, the oldest first: when, who, what, to what. For the
tenant's owner. With --follow it goes on with what is administered from then on, until Ctrl-C.

Examples:
  leadline audit
  leadline audit --follow --json | jq .administered`;

interface AuditOptions extends ConnectionOptions {
  readonly follow?: boolean;
}

/** `leadline audit`. */
export function auditCommand(terminal: Terminal): Command {
  const command = new Command("audit")
    .description("list what was administered, and support's accesses")
    .option("--follow", "go on with what is administered from then on")
    .addHelpText("after", help);
  return withConnection(command).action((options: AuditOptions) => audit(options, terminal));
}

async function audit(options: AuditOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env);
  const show = (event: Event) =>
    options.json ? terminal.out.json(toJson(EventSchema, event)) : terminal.out.line(lineOf(event));
  try {
    let position: string | undefined;
    for (let pageToken = ""; ; ) {
      const page = await client.tenants.listAuditEvents({ pageSize: 1000, pageToken });
      for (const event of page.events) {
        await show(event);
        position = event.position;
      }
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    if (options.follow !== true) return;
    const interrupted = terminal.interrupted();
    for await (const item of client.watchAudit({ position, signal: interrupted })) {
      if (item.type === "event") await show(item.event);
    }
    if (interrupted.aborted) terminal.exit = Exit.INTERRUPTED;
  } finally {
    client.close();
  }
}

function lineOf({ recordedAt, actor, change }: Event): string {
  if (change.case !== "administered") return `${shownTimestamp(recordedAt)}  ${actor}`;
  const { act, target, details, address } = change.value;
  const who = address === "" ? actor : `${actor} from ${address}`;
  const what = Object.entries(details).map(([name, value]) => `${name}=${value}`);
  return plain([shownTimestamp(recordedAt), who, act, target, ...what].join("  "));
}
