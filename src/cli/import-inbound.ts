import { toJson } from "@bufbuild/protobuf";
import {
  ImportOutcomeSchema,
  type ImportService,
  InboundMessageSchema,
  MessageFormatSchema,
} from "../../gen/leadline/v1/import_service_pb.ts";
import type { UnaryMethods } from "../client/grpc-calls.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { shownTimestamp } from "./times.ts";
import { wordOf } from "./words.ts";

/** Messages that are listed: they are the newest, and there may be very many. */
const LISTED_MAX = 1_000;

/** Lists raw inbound messages, the newest first: as a table, or as JSON with the items as they came. */
export async function listInbound(
  calls: Pick<UnaryMethods<typeof ImportService>, "listInboundMessages">,
  sourceId: string,
  json: boolean,
  terminal: Terminal,
): Promise<void> {
  const rows: string[][] = [];
  let pageToken = "";
  let listed = 0;
  do {
    const page = await calls.listInboundMessages({ sourceId, pageToken, pageSize: LISTED_MAX - listed });
    for (const one of page.messages) {
      if (json) await terminal.out.json(toJson(InboundMessageSchema, one));
      const { outcome = 0, reason = "" } = one.result ?? {};
      const became = [wordOf(ImportOutcomeSchema, outcome), reason].filter((text) => text !== "").join(": ");
      const known = [one.id, wordOf(MessageFormatSchema, one.format), plain(one.carrier) || "-"];
      rows.push([...known, shownTimestamp(one.receivedAt), plain(one.result?.sourceId ?? "") || "-", plain(became)]);
    }
    listed += page.messages.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && listed < LISTED_MAX);
  if (json) return;
  for (const line of table(["ID", "FORMAT", "CARRIER", "CAME", "SOURCE ID", "BECAME"], rows)) {
    await terminal.out.line(line);
  }
  if (pageToken !== "") await terminal.err.line(`these are the newest ${listed}; there are older ones`);
}
