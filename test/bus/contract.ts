import { expect, test } from "vitest";
import type { Bus, Hint } from "../../src/bus/bus.ts";
import type { Extension, StoredEvent } from "../../src/domain/stored-event.ts";

/** Two instances on one bus. */
export interface Pair {
  readonly one: Bus;
  readonly two: Bus;
}

/** Extension of `count` events after a revision, with payloads of so many bytes. */
export function extensionOf(tenant: string, after: bigint, count: number, bytes = 10): Extension {
  const events = Array.from({ length: count }, (_, i): StoredEvent => {
    const revision = after + BigInt(i) + 1n;
    const kind = i % 2 === 0 ? 1 : 2;
    const carrier = kind === 2 ? "MAEU" : "";
    return {
      revision,
      eventId: idAt(revision),
      kind,
      subjectId: `s${i}`,
      version: 3n,
      carrier,
      payload: payloadOf(bytes),
    };
  });
  return { tenant, previous: { revision: after, eventId: idAt(after) }, events };
}

function idAt(revision: bigint): string {
  return revision.toString(36).padStart(13, "0");
}

/** One element of field 1, of this many bytes after its length. */
export function payloadOf(bytes: number): Uint8Array {
  const length: number[] = [];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  length.push(rest);
  return Uint8Array.from([0x0a, ...length, ...Array.from({ length: bytes }, (_, i) => i & 0xff)]);
}

/** Resolves once it holds; fails after ten seconds. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`it never came to be: ${holds}`);
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

/** Hints of a tenant that say something of its journal, as they come. */
export function eventsHeard(bus: Bus, tenant: string): { heard: Extension[]; hints: Hint[]; release: () => void } {
  const heard: Extension[] = [];
  const hints: Hint[] = [];
  const release = bus.follow(tenant, (hint) => {
    hints.push(hint);
    if (hint.say === "events") heard.push(hint.extension);
  });
  return { heard, hints, release };
}

/**
 * What every bus does, where nothing goes wrong. `open` makes a pair that hears each other; once `ready` has come true, a bus hears
 * what it follows, and what was said to it before has come.
 */
export function describeBus(open: () => Promise<Pair>, ready: (bus: Bus) => Promise<void>): void {
  test("tells the other instance what follows what, as it was published", async () => {
    const { one, two } = await open();
    const { heard } = eventsHeard(two, "t1");
    await ready(two);
    const extensions = [extensionOf("t1", 0n, 1), extensionOf("t1", 1n, 5), extensionOf("t1", 6n, 2, 300)];
    for (const extension of extensions) one.publish(extension);
    await until(() => heard.length === 3);
    // Buses may change the order.
    const inOrder = heard.toSorted((a, b) => Number(a.previous.revision - b.previous.revision));
    expect(inOrder.map(plain)).toEqual(extensions.map(plain));
  });

  test("does not tell an instance what it said itself", async () => {
    const { one, two } = await open();
    const [own, other] = [eventsHeard(one, "t1"), eventsHeard(two, "t1")];
    await ready(one);
    await ready(two);
    one.publish(extensionOf("t1", 0n, 1));
    two.publish(extensionOf("t1", 1n, 1));
    await until(() => own.heard.length > 0 && other.heard.length > 0);
    expect(own.heard.map((extension) => extension.previous.revision)).toEqual([1n]);
    expect(other.heard.map((extension) => extension.previous.revision)).toEqual([0n]);
  });

  test("keeps tenants apart, whatever they are called", async () => {
    const { one, two } = await open();
    const names = ["t1", "t1.x", "t1_2ex", "t1 x", "*", ">", "tä", "t1=2ex"];
    const all = names.map((name) => eventsHeard(two, name));
    await ready(two);
    for (const name of names) one.publish(extensionOf(name, 0n, 1));
    await until(() => all.every(({ heard }) => heard.length > 0));
    expect(all.map(({ heard }) => heard.map(({ tenant }) => tenant))).toEqual(names.map((name) => [name]));
  });

  test("tells several followers of one tenant, and those that let go no more", async () => {
    const { one, two } = await open();
    const [first, second] = [eventsHeard(two, "t1"), eventsHeard(two, "t1")];
    await ready(two);
    one.publish(extensionOf("t1", 0n, 1));
    await until(() => first.heard.length === 1 && second.heard.length === 1);
    first.release();
    first.release();
    one.publish(extensionOf("t1", 1n, 1));
    await until(() => second.heard.length === 2);
    expect(first.heard).toHaveLength(1);
    second.release();
    const again = eventsHeard(two, "t1");
    await ready(two);
    one.publish(extensionOf("t1", 2n, 1));
    await until(() => again.heard.length === 1);
    expect(second.heard).toHaveLength(2);
  });

  test("tells the other instance which credential is no longer good", async () => {
    const { one, two } = await open();
    const [own, other]: [string[], string[]] = [[], []];
    one.onRevocation((credential) => own.push(credential));
    const release = two.onRevocation((credential) => other.push(credential));
    one.announceRevocation("key_1");
    await until(() => other.length === 1);
    release();
    two.announceRevocation("key_2");
    await until(() => own.length === 1);
    expect([own, other]).toEqual([["key_2"], ["key_1"]]);
  });

  test("tells the other instance which tenant's terms have changed", async () => {
    const { one, two } = await open();
    const [own, other]: [string[], string[]] = [[], []];
    one.onTenant((tenant) => own.push(tenant));
    const release = two.onTenant((tenant) => other.push(tenant));
    two.onRevocation((credential) => other.push(credential));
    one.announceTenant("t1");
    await until(() => other.length === 1);
    release();
    two.announceTenant("t2");
    await until(() => own.length === 1);
    expect([own, other]).toEqual([["t2"], ["t1"]]);
  });

  test("says nothing any more once it is closed", async () => {
    const { one, two } = await open();
    const { heard } = eventsHeard(two, "t1");
    const witness = eventsHeard(one, "t1");
    await ready(one);
    await ready(two);
    one.publish(extensionOf("t1", 0n, 1));
    await until(() => heard.length === 1);
    await two.close();
    await two.close();
    one.publish(extensionOf("t1", 1n, 1));
    two.publish(extensionOf("t1", 2n, 1));
    await ready(one);
    await one.close();
    expect([heard.length, witness.heard.length]).toEqual([1, 0]);
  });
}

/** Comparable: payloads as hexadecimal text. */
function plain({ tenant, previous, events }: Extension) {
  const { revision, eventId } = previous;
  return {
    tenant,
    previous: { revision, eventId },
    events: events.map((event) => ({ ...event, payload: Buffer.from(event.payload).toString("hex") })),
  };
}
