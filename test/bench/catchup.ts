import { databaseUrl, TEMPLATE } from "../support/prepare-server.ts";
import { startChild } from "./child.ts";
import type { CopyQuestions } from "./copier.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  CpuMeter,
  cpuSeconds,
  median,
  pairRatio,
  round,
  rounded,
} from "./measure.ts";
import { encodeWatch, WATCH_PATH } from "./messages.ts";
import { profiled } from "./profile.ts";
import { createOrders, portOf, type Service, startLoad, startService, TENANT } from "./service.ts";
import type { WatcherQuestions } from "./watchers.ts";

const EVENTS = 100_000;

/** The position from which the journal has so many events more. */
export async function catchUpPosition(service: Service, events: number): Promise<string> {
  const [row] = await service.sql<{ position: string }>(
    `select coalesce((select revision || '-' || event_id from event e
                      where e.tenant_id = h.tenant_id and e.revision = h.revision - $2), '0-' || journal_id) as position
     from journal_head h where tenant_id = $1`,
    [TENANT, events],
  );
  return row?.position ?? "";
}

/** One watcher that is the whole journal behind, beside the same rows by COPY to a client that only counts them. */
export async function catchup(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService({ probe: options.profile !== undefined }));
  const load = stack.use(startLoad());
  const events = Math.ceil(EVENTS / options.scale);
  options.say(`making ${events} events`);
  await createOrders(load, service, [service.key], events);
  const watcher = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const copier = stack.use(startChild<CopyQuestions>("copier.ts"));
  const url = databaseUrl(service.postgres.url(), TEMPLATE);
  const message = encodeWatch({ position: await catchUpPosition(service, events) });
  const port = portOf(service.instance.grpc);
  const target = { port, path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: service.key };

  const watchOnce = async () => {
    const begin = performance.now();
    await watcher.ask("open", { ...target, message, group: "behind", connections: 1, perConnection: 1 });
    const got = await watcher.ask("received", { group: "behind", events, patienceMs: 60_000 });
    const seconds = (performance.now() - begin) / 1_000;
    await watcher.ask("close", "behind");
    if (got.events !== events) throw new Error(`${got.events} of ${events} events came`);
    return events / seconds;
  };
  const copyOnce = async () => {
    const begin = performance.now();
    const { rows } = await copier.ask("copy", { url, tenant: TENANT });
    if (rows !== events) throw new Error(`COPY gave ${rows} of ${events} rows`);
    return events / ((performance.now() - begin) / 1_000);
  };
  // As often as the time allows, and each time is over quickly.
  const seconds = options.seconds / options.pairs / 2;
  const often = async (once: () => Promise<number>) => {
    const rates: number[] = [];
    for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) rates.push(await once());
    return median(rates);
  };
  for (let i = 0; i < 3; i++) await watchOnce();
  for (let i = 0; i < 3; i++) await copyOnce();
  await profiled(service, options, "catchup", () => often(watchOnce));
  const cpu = new CpuMeter({ ...service.cpu(), watcher: () => cpuSeconds(watcher.pid) });
  const copyCpu = new CpuMeter({ postgres: service.cpu().postgres, client: () => cpuSeconds(copier.pid) });
  const results = await alternate(
    options.pairs,
    () => cpu.during(() => often(watchOnce)),
    () => copyCpu.during(() => often(copyOnce)),
  );
  return {
    bench: "catchup",
    ratios: { vs_copy: pairRatio(results.ours, results.reference) },
    figures: {
      events,
      leadline_events_per_second: round(median(results.ours), 0),
      copy_rows_per_second: round(median(results.reference), 0),
      leadline_rounds: rounded(results.ours, 0),
      copy_rounds: rounded(results.reference, 0),
      leadline_cpu_seconds: cpu.figures,
      copy_cpu_seconds: copyCpu.figures,
    },
  };
}
