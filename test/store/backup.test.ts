import { expect, test } from "vitest";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { callerKinds } from "../doors/callers.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { lastPosition, Recording } from "../guarantees/recording.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { Drill } from "../support/drill.ts";

/*
 * The runbook's drill on a real server: a base backup under writes, an archive, a restore to a named moment. Watches that
 * knew no more than that moment continue; those that knew more are told so, before and after the journal has grown again.
 */

const idsOf = (watch: Recording) => watch.messages.flatMap(({ events }) => events.map((event) => event.subjectId));
const created = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `PO-${from + i}`);

async function create(app: TestApp, { keys }: TestTenant, ids: readonly string[]): Promise<void> {
  const { orders } = app.client(keys.operator);
  for (const orderId of ids) await orders.createOrder({ orderId });
}

test("a base backup and its archive are restored to a moment", { timeout: 60_000 }, async () => {
  await using drill = new Drill();
  await drill.start();
  let tenant: TestTenant;
  let [within, beyond, near] = ["", "", ""];
  {
    await using app = await startTestApp({ database: drill.database });
    await using stack = new AsyncDisposableStack();
    tenant = await app.makeTenant("acme");
    const watch = stack.use(watcher(app, stack, tenant, ""));
    await watch.started();
    await create(app, tenant, created(0, 10));
    const writing = create(app, tenant, created(10, 40));
    await drill.backUp();
    await writing;
    await watch.until("40 events", () => idsOf(watch).length === 40);
    within = lastPosition(watch.messages);
    await create(app, tenant, created(40, 50));
    await drill.namePoint();
    await create(app, tenant, created(50, 51));
    await watch.until("51 events", () => idsOf(watch).length === 51);
    near = lastPosition(watch.messages);
    await create(app, tenant, created(51, 60));
    await watch.until("60 events", () => idsOf(watch).length === 60);
    beyond = lastPosition(watch.messages);
  }
  await drill.lose();
  await drill.restore();

  await using app = await startTestApp({ database: drill.database });
  await using stack = new AsyncDisposableStack();
  expect(await journalFaults(drill.database)).toEqual([]);
  const open = (position: string) => stack.use(watcher(app, stack, tenant, position));
  const [continues, ahead] = [open(within), open(beyond)];
  await continues.until("what was written up to the moment", () => idsOf(continues).length === 10);
  expect(idsOf(continues)).toEqual(created(40, 50));
  expect(await resetOf(ahead)).toBe(ResetReason.POSITION_AHEAD);

  await create(app, tenant, ["PO-NEW-1", "PO-NEW-2"]);
  await continues.until("what is new", () => idsOf(continues).length === 12);
  expect(idsOf(continues).slice(10)).toEqual(["PO-NEW-1", "PO-NEW-2"]);
  expect(await resetOf(open(near))).toBe(ResetReason.HISTORY_DIVERGED);
  expect(await journalFaults(drill.database)).toEqual([]);
});

function watcher(app: TestApp, stack: AsyncDisposableStack, { keys }: TestTenant, position: string): Recording {
  const [kind] = callerKinds;
  if (!kind) throw new Error("there are no callers");
  const world = { grpcPort: app.grpcPort, httpPort: app.httpPort, onClose: (close: () => void) => stack.defer(close) };
  return new Recording(kind.open(world), keys.viewer, { of: "orders", request: { position } });
}

/** Why the watch was reset; whatever it was told before that is none of our events. */
async function resetOf(watch: Recording): Promise<ResetReason | undefined> {
  await watch.until("a reset", (messages) => messages.some(({ reset }) => reset !== undefined));
  expect(idsOf(watch)).toEqual([]);
  return watch.messages.find(({ reset }) => reset !== undefined)?.reset?.reason;
}
