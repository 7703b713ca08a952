/**
 * The script of the test's page: it watches all orders through the HTTP door that the address names, and keeps what it saw
 * in `window.seen` and the states of its connection in `window.states`, one word each.
 */
import { createLeadlineWebClient, type LeadlineError } from "../../src/client/browser.ts";

// The project's types are Node's; of the browser's the page needs this much.
declare const location: { readonly search: string };
declare const window: { seen: string[]; states: string[]; failure: string };

const asked = new URLSearchParams(location.search);
window.seen = [];
window.states = [];
window.failure = "";

const client = createLeadlineWebClient({
  baseUrl: asked.get("service") ?? "",
  key: asked.get("key") ?? "",
  protocol: asked.get("protocol") === "grpc-web" ? "grpc-web" : "connect",
});
const watch = client.watchOrders({
  includeSnapshot: true,
  onConnection: (state) => {
    const error = state.state === "waiting" ? (state.error as LeadlineError | undefined) : undefined;
    window.states.push(error === undefined ? state.state : `${state.state}: ${error.reasonName}`);
  },
});

async function follow(): Promise<void> {
  for await (const item of watch) {
    if (item.type === "snapshot") window.seen.push(`row ${item.order.id} v${item.order.version}`);
    else if (item.type === "event") window.seen.push(`${item.event.subjectId} v${item.event.version}`);
    else if (item.type !== "bookmark") window.seen.push(item.type);
  }
}

follow().catch((error: unknown) => {
  window.failure = String(error);
});
