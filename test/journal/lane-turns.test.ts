import { expect, test } from "vitest";
import { CommandQueue, type Pending } from "../../src/journal/command-queue.ts";
import { PatientTurns, UsualTurns } from "../../src/journal/lane-turns.ts";
import { Skipped } from "../../src/journal/skipped.ts";
import { ask } from "./commands.ts";

/** Both lanes' turns over one queue; a tenant is waited for as soon as its head was skipped once. */
function lanes() {
  const queue = new CommandQueue();
  const skipped = new Skipped(1);
  const woken: string[] = [];
  const usual = new UsualTurns(queue, skipped, () => woken.push("patient"));
  const patient = new PatientTurns(queue, skipped, usual, () => woken.push("usual"));
  return { queue, skipped, usual, patient, woken };
}

function pending(tenant: string, order: string, since = 0): Pending {
  const command = ask({ tenant, order }) as unknown as Pending["command"];
  return { command, since, settle: () => undefined, fail: () => undefined };
}

const named = (commands: readonly Pending[]) => commands.map(({ command }) => command.subjects[0]?.id);

test("what waits of a tenant does not overtake what the usual lane has of it", () => {
  const { queue, skipped, usual, patient, woken } = lanes();
  queue.push(pending("c", "1"));
  const out = usual.take(1);
  skipped.note(["c"]);
  queue.push(pending("c", "2"));
  expect(named(patient.take(10))).toEqual([]);
  usual.passOver(out);
  expect(woken).toEqual(["patient"]);
  expect(named(patient.take(10))).toEqual(["1", "2"]);
});

test("nor while a batch that was opened behind has some of it", () => {
  const { queue, usual, patient, woken } = lanes();
  for (const order of ["1", "2", "3"]) queue.push(pending("c", order));
  const [first, second] = [usual.take(1), usual.take(1)];
  usual.passOver(first);
  expect(named(patient.take(10))).toEqual([]);
  // The batch before it has failed: it goes back as it was.
  usual.putBack(second);
  usual.over(second);
  expect(woken).toEqual(["patient", "patient"]);
  expect(named(patient.take(10)).toSorted()).toEqual(["1", "2", "3"]);
});

test("a tenant whose head others hold fills no batch: those before it in the queue do not either", () => {
  const { queue, usual } = lanes();
  for (let i = 0; i < 100; i++) queue.push(pending("c", `c${i}`));
  for (let i = 0; i < 100; i++) queue.push(pending("a", `a${i}`));
  let others = 0;
  for (let batch = 0; batch < 20; batch++) {
    const commands = usual.take(10);
    const [held, mine] = [
      commands.filter((p) => p.command.tenant === "c"),
      commands.filter((p) => p.command.tenant === "a"),
    ];
    usual.passOver(held);
    usual.over(mine);
    others += mine.length;
  }
  // A fair part of 200: half of each batch.
  expect(others).toBe(100);
});

test("a wait in vain costs its tenant nothing, and the others' turn is not later for it", () => {
  const { queue, skipped, usual, patient } = lanes();
  for (let i = 0; i < 50; i++) queue.push(pending("c", `c${i}`));
  queue.push(pending("a", "a0"));
  skipped.note(["c"]);
  const waited = patient.take(40);
  expect(waited).toHaveLength(40);
  patient.passOver(waited);
  patient.over();
  expect(new Set(usual.take(2).map(({ command }) => command.tenant))).toEqual(new Set(["a", "c"]));
});

test("what is too old is taken from the queue, and nothing that is younger", () => {
  const { queue, usual } = lanes();
  for (const since of [1, 2, 9]) queue.push(pending("a", `a${since}`, since));
  for (const since of [3, 8]) queue.push(pending("b", `b${since}`, since));
  expect(named(usual.takeOld(5)).toSorted()).toEqual(["a1", "a2", "b3"]);
  expect(queue.size).toBe(2);
  expect(named(usual.take(10)).toSorted()).toEqual(["a9", "b8"]);
});
