import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type Phase, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  FlowDefinitionSchema,
  FlowStatusSchema,
  MilestoneScope,
  MilestoneStatusSchema,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { TEMPLATES } from "../../src/domain/flows/templates.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { STANDARD_DEFINITION } from "../../src/domain/standard-flow.ts";
import { readFlow, writeFlow } from "../../src/wire/flow-yaml.ts";

// What YAML reads as something other than text, if it is not careful, is among them.
const code = fc.oneof(
  fc.stringMatching(/^[A-Z][A-Z0-9_]{0,31}$/),
  fc.constantFrom("NO", "Y", "ON", "NULL", "TRUE", "E5"),
);
const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }),
  fc.constantFrom(
    "no",
    "12",
    "1e3",
    "null",
    "~",
    "- a",
    "a: b",
    "# x",
    "'",
    '"',
    "2026-01-01",
    " x ",
    "a\nb",
    "any later",
  ),
);
const language = fc.constantFrom("en", "de", "no", "zh-Hant", "pt-BR");
const seconds = fc.integer({ min: 1, max: 315_360_000 });
const roles = fc.uniqueArray(fc.constantFrom(Role.OWNER, Role.OPERATOR, Role.CARRIER, Role.VIEWER), { maxLength: 4 });
const phases = fc.constantFrom(...PhaseSchema.values.map((value) => value.number as Phase));
const codes = fc.uniqueArray(code, { maxLength: 5 });
const status = fc
  .record({
    code,
    phase: phases,
    names: fc.dictionary(language, text, { noNullPrototype: true }),
    description: fc.oneof(fc.constant(""), text),
    next: codes,
    nextAnyLater: fc.boolean(),
    endsJourney: fc.boolean(),
    expected: fc.option(seconds),
    reporters: roles,
    retired: fc.boolean(),
    formerCodes: codes,
    phaseMayGoBack: fc.boolean(),
  })
  // A flow that has both is refused; YAML has one field for the two.
  .map(({ expected, ...one }) =>
    create(FlowStatusSchema, {
      ...one,
      next: one.nextAnyLater ? [] : one.next,
      ...(expected !== null && { expectedTime: { seconds: BigInt(expected) } }),
    }),
  );
const milestone = fc
  .record({
    milestone: code,
    status: fc.oneof(fc.constant(""), code),
    scope: fc.constantFrom(MilestoneScope.ANYWHERE, MilestoneScope.FIRST_DEPARTURE, MilestoneScope.LAST_ARRIVAL),
  })
  .map((one) => create(MilestoneStatusSchema, one));
const flows = fc.record({
  id: fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,39}$/),
  name: fc.oneof(fc.constant(""), text),
  statuses: fc.array(status, { maxLength: 6 }),
  milestones: fc.array(milestone, { maxLength: 4 }),
});

function again(id: string, name: string, definition: typeof STANDARD_DEFINITION): void {
  const yaml = writeFlow({ id, name, definition });
  const read = readFlow(yaml);
  expect([read.id, read.name], yaml).toEqual([id, name]);
  expect(equals(FlowDefinitionSchema, read.definition, definition), yaml).toBe(true);
}

describe("a flow as YAML", () => {
  test("is the flow again when it is read", () => {
    fc.assert(
      fc.property(flows, ({ id, name, statuses, milestones }) =>
        again(id, name, create(FlowDefinitionSchema, { statuses, milestones })),
      ),
      { numRuns: 500 },
    );
  });

  test.each([{ id: "standard", name: "Standard", definition: STANDARD_DEFINITION }, ...TEMPLATES])(
    "$id, which ships, is itself again",
    ({ id, name, definition }) => again(id, name, definition),
  );

  test.each([
    ["not YAML", "id: [", 1],
    ["not a mapping", "- a", 1],
    ["without an id", "name: x", 1],
    ["a field that there is not", "id: a\nstatuses:\n  - code: NEW\n    colour: red", 4],
    ["a wrong phase", "id: a\nstatuses:\n  - code: NEW\n    phase: SOMEWHERE", 4],
    ["a wrong role", "id: a\nstatuses:\n  - code: NEW\n    reporters: [boss]", 4],
    ["a wrong time", "id: a\nstatuses:\n  - code: NEW\n    expected: soon", 4],
    ["no time at all", "id: a\nstatuses:\n  - code: NEW\n    expected: 12", 4],
    ["a number for a code", "id: a\nstatuses:\n  - code: 12", 3],
    ["statuses that are no list", "id: a\nstatuses: NEW", 2],
    ["an alias to nothing", "id: a\nstatuses: *other", 2],
    ["a field twice", "id: a\nid: b", 2],
    ["a field of a status twice", "id: a\nstatuses:\n  - code: NEW\n    code: OLD", 4],
    ["a language twice", "id: a\nstatuses:\n  - code: NEW\n    names:\n      en: a\n      en: b", 6],
    ["more statuses than a flow has", `id: a\nstatuses:\n${"  - code: NEW\n".repeat(101)}`, 3],
    ["more milestones than a flow has", `id: a\nmilestones:\n${"  - milestone: LOADED\n".repeat(201)}`, 3],
    ["a second document", "id: a\n---\nid: b", 2],
    ["a tag", "id: a\nstatuses:\n  - code: !mine NEW", 3],
    ["a merge", "id: a\n<<: { name: b }", 2],
    ["a field that is a list", "id: a\n? [name]\n: b", 2],
    ["words that older YAML reads as yes and no", "%YAML 1.1\n---\nid: no", 3],
  ])("%s is refused with its line", (_what, yaml, line) => {
    const refusal = refused(() => readFlow(yaml));
    expect(refusal.reason).toBe(ErrorReason.FLOW_UNREADABLE);
    expect(refusal.metadata).toMatchObject({ line: String(line) });
  });

  // Each of these took the parser seconds, or most of a minute.
  test.each([
    ["open brackets", `id: a\nx: ${"[".repeat(200_000)}`],
    ["open braces", `id: a\nx: ${"{a: ".repeat(60_000)}`],
    ["list marks", `id: a\nx:\n${"- ".repeat(100_000)}`],
    ["keys", Array.from({ length: 32_000 }, (_, i) => `k${i.toString(36)}:`).join("\n")],
    ["faults", `id: a\n${"@\n".repeat(60_000)}`],
    ["brackets that close nothing", `id: a\nx: {${"]".repeat(200_000)}`],
    ["commas", `id: a\nx: [${",".repeat(98_000)}]`],
    ["escapes that are none", `id: a\nx: "${"\\q".repeat(100_000)}"`],
    ["anchors", `id: a\nx: ${"&a ".repeat(80_000)}`],
    ["statuses", `id: a\nstatuses:\n${"- {}\n".repeat(40_000)}`],
  ])("a file full of %s is refused without much ado", (_what, yaml) => {
    expect(refused(() => readFlow(yaml)).reason).toBe(ErrorReason.FLOW_UNREADABLE);
  });

  test("the largest flow that fits a file is read, and its places are found", () => {
    const wide = (code: string) => ({
      code,
      names: Object.fromEntries(Array.from({ length: 26 }, (_, i) => [`en-A${String.fromCharCode(65 + i)}`, "a name"])),
      next: Array.from({ length: 99 }, (_, i) => `S${i}`),
    });
    const definition = create(FlowDefinitionSchema, {
      statuses: Array.from({ length: 100 }, (_, i) => wide(`S${i}`)),
    });
    const yaml = writeFlow({ id: "wide", name: "", definition });
    expect(yaml.length).toBeGreaterThan(150_000);
    const { lineOf, ...read } = readFlow(yaml);
    expect(equals(FlowDefinitionSchema, read.definition, definition)).toBe(true);
    const lines = yaml.split("\n");
    expect(lines[lineOf("statuses[57].next[42]") - 1]).toBe("      - S42");
    expect(lines[lineOf("statuses[57].code") - 1]).toBe("  - code: S57");
    expect(lines[lineOf("statuses[57].expected_time") - 1]).toBe("  - code: S57"); // where it would stand
    expect(lines[lineOf('statuses[3].names["en-AC"]') - 1]).toBe("      en-AC: a name");
    expect(lineOf("flow_id")).toBe(1);
  });

  test("an expansion that grows without bound is refused", () => {
    const levels = Array.from({ length: 9 }, (_, i) => `  - &a${i + 1} [${`*a${i},`.repeat(10)}]`);
    const yaml = `id: a\nx:\n  - &a0 [x]\n${levels.join("\n")}\nstatuses:\n  - code: *a9`;
    expect(refused(() => readFlow(yaml)).reason).toBe(ErrorReason.FLOW_UNREADABLE);
  });
});

function refused(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("it was read");
}
