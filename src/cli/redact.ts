import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { RedactOrderResponseSchema, RedactPartyResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import type { Terminal } from "./terminal.ts";

const help = `
Removes personal data for good, from what is stored now and from the history. What was delivered to others, and backups,
keep what they have. For the tenant's owner. It may be repeated: what is gone stays gone.

Examples:
  leadline redact --order po-7 --reason "request 2026-114"
  leadline redact --party "Jane Doe" --reason "request 2026-114"    in every order and booking that names the party`;

interface RedactOptions extends ConnectionOptions {
  readonly order?: string;
  readonly party?: string;
  readonly reason: string;
}

/** `leadline redact`. */
export function redactCommand(terminal: Terminal): Command {
  const command = new Command("redact")
    .description("remove personal data from an order, or a party from all orders and bookings")
    .option("--order <id>", "everything that is personal in this order, and in bookings that carry it alone")
    .option("--party <name>", "this party's data, and texts that name it letter by letter")
    .requiredOption("--reason <text>", "the request that it answers; it is kept, so it names nobody")
    .addHelpText("after", help);
  return withConnection(command).action((options: RedactOptions) => redact(options, terminal));
}

async function redact(options: RedactOptions, terminal: Terminal): Promise<void> {
  const { order, party, reason, json } = options;
  if ((order === undefined) === (party === undefined)) throw wrongUse("give --order or --party, one of the two");
  const client = connect(options, terminal.env);
  try {
    if (order !== undefined) {
      const response = await client.orders.redactOrder({ orderId: order, reason });
      if (json) return await terminal.out.json(toJson(RedactOrderResponseSchema, response));
      await terminal.out.line(`${order}: ${response.eventsRewritten} events rewritten`);
      for (const id of response.bookingIds) await terminal.out.line(`booking ${id}: redacted with it`);
      for (const id of response.bookingIdsKept) {
        await terminal.out.line(
          `booking ${id} carries other orders too and stays; --party removes one party's data from it`,
        );
      }
      return;
    }
    let [redacted, examined] = [0, 0];
    const still: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await client.orders.redactParty({ partyName: party ?? "", reason, pageToken });
      if (json) await terminal.out.json(toJson(RedactPartyResponseSchema, page));
      else for (const id of [...page.orderIds, ...page.bookingIds]) await terminal.out.line(id);
      still.push(...page.orderIdsStillNaming.map((id) => `order ${id}`));
      still.push(...page.bookingIdsStillNaming.map((id) => `booking ${id}`));
      still.push(...page.stillNaming);
      redacted += page.orderIds.length + page.bookingIds.length;
      examined += page.examined;
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    if (json) return;
    await terminal.out.line(`${redacted} of ${examined} orders and bookings named the party`);
    for (const one of still) await terminal.out.line(`the name's letters still stand in ${one}`);
  } finally {
    client.close();
  }
}
