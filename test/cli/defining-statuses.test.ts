import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { createLeadlineClient, type LeadlineClient } from "../../src/client/node.ts";
import { readFlow } from "../../src/wire/flow-yaml.ts";
import { ServiceProcess } from "../client/service-process.ts";
import { leadlineHere } from "./leadline.ts";

/*
 * The page on defining statuses is carried out from its first command to its last, on a service of its own, and each answers
 * what the page says. UPDATE_DOCS=1 writes the answers into the page.
 */

const path = join(import.meta.dirname, "../../src/service/flows/defining-statuses.md");
const page = readFileSync(path, "utf8");
const folder = mkdtempSync(join(tmpdir(), "leadline-flows-"));

let service: ServiceProcess;
let client: LeadlineClient;
let env: Record<string, string>;

beforeAll(async () => {
  service = await ServiceProcess.prepare();
  const ready = await service.start();
  client = createLeadlineClient({ address: ready.grpc, key: ready.owner });
  env = { LEADLINE_ADDRESS: ready.grpc, LEADLINE_DATA_DIR: service.dataDir };
}, 60_000);
afterAll(async () => {
  client?.close();
  await service?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Fenced blocks of a language, what is in them. */
function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g"))].map(([, text = ""]) => text);
}

/** The orders that the page speaks of. */
async function open(orderId: string, status?: string): Promise<void> {
  await client.orders.createOrder({ orderId });
  if (status === undefined) return;
  const occurredAt = { instant: { seconds: 1_770_000_000n } };
  await client.orders.reportStatus({ orderId, report: { status, classifier: Classifier.ACTUAL, occurredAt } });
}

/** Runs a command of the page. */
function run(command: string) {
  const [leadline, ...words] = command.split(" ");
  expect(leadline).toBe("leadline");
  return leadlineHere(
    words.map((word) => (word.endsWith(".yaml") ? join(folder, word) : word)),
    env,
  );
}

/** Takes a block of YAML over into the file: the whole flow, or a status in place of the one that it has been. */
function save(yaml: string): void {
  const file = join(folder, "furniture.yaml");
  const former = /former_codes: \[ (\w+) \]/.exec(yaml)?.[1];
  const before = former === undefined ? "" : readFileSync(file, "utf8");
  const after = former === undefined ? yaml : before.replace(new RegExp(`  - code: ${former}\\n(    .*\\n)+`), yaml);
  expect(after).not.toBe(before);
  writeFileSync(file, after);
}

test("the page's commands answer what the page says", async () => {
  await open("po-1");
  await open("po-2", "READY");
  await open("po-3", "BOOKED");
  const exits: string[] = [];
  let now = page;
  for (const [whole, language, block = ""] of page.matchAll(/```(yaml|console)\n([\s\S]*?)```/g)) {
    if (language === "yaml") {
      save(block);
      continue;
    }
    const [command = ""] = block.split("\n");
    const { out, err, exit } = await run(command.replace(/^\$ /, ""));
    expect(err).toBe("");
    if (exit !== 0) exits.push(`${exit} ${command}`);
    now = now.replace(whole, () => `\`\`\`console\n${command}\n${out.replaceAll(/ +$/gm, "")}\`\`\``);
  }
  if (process.env.UPDATE_DOCS === "1") writeFileSync(path, now);
  expect(readFileSync(path, "utf8")).toBe(now);
  expect(now.match(/^\$ leadline flows/gm)?.length).toBeGreaterThan(13);
  // What stands in the way is told by the exit code, and nothing else is.
  expect(exits).toEqual(["1 $ leadline flows dry-run furniture --orders-of standard"]);

  // And the page's words about it are true.
  const { orders } = await client.orders.batchGetOrders({ orderIds: ["po-1", "po-2", "po-3"] });
  expect(orders.map(({ flowId, flowVersion, status }) => [flowId, flowVersion, status])).toEqual([
    ["furniture", 2, "ORDERED"],
    ["furniture", 2, "PASSED"],
    ["furniture", 2, "PASSED"],
  ]);
  const { order } = await client.orders.createOrder({ orderId: "po-4" });
  expect(order).toMatchObject({ flowId: "furniture", status: "ORDERED" });
});

test("the commands that it names in passing do their work, too", async () => {
  const named = [...page.replaceAll(/```[\s\S]*?```/g, "").matchAll(/`(leadline [^`]+)`/g)].map(
    ([, command = ""]) => command,
  );
  expect(named).toContain("leadline flows validate furniture");
  for (const command of new Set(named)) {
    expect({ command, ...(await run(command)) }).toMatchObject({ exit: 0, err: "" });
  }
});

test("the table of the idea is the file's", () => {
  const [yaml = ""] = blocks("yaml");
  const { definition } = readFlow(yaml);
  const rows = [...page.matchAll(/^\| ([A-Z_]+) \| (.*?) \|(?: \|)?$/gm)].map(([, code, rest = ""]) => [
    code,
    ...rest.split(" | "),
  ]);
  const units = { week: 7 * 86_400, day: 86_400 };
  const seconds = (text: string) => {
    const [, count, unit] = /^(\d+) (day|week)s?$/.exec(text.trim()) ?? [];
    return unit === undefined ? 0n : BigInt(Number(count) * units[unit as keyof typeof units]);
  };
  const told = rows.map(([code, phase, next, expected = ""]) => [code, phase, next, seconds(expected)]);
  expect(told).toEqual(
    definition.statuses.map((one) => {
      const next = one.nextAnyLater ? "any later" : one.endsJourney ? "the end" : one.next.join(", ");
      return [one.code, PhaseSchema.value[one.phase]?.localName, next, one.expectedTime?.seconds ?? 0n];
    }),
  );
});

test("the findings that it shows are those of the mistake that it names", async () => {
  const [yaml = ""] = blocks("yaml");
  const [shown = ""] = blocks("text");
  writeFileSync(
    join(folder, "broken.yaml"),
    yaml.replace("id: furniture", "id: broken").replace("    ends_journey: true\n", ""),
  );
  const { exit, out } = await run("leadline flows import broken.yaml");
  expect(exit).toBe(1);
  expect(out).toBe(`draft of broken taken\n${shown}`);
});

test("a renamed and a retired status keep the orders that have them", async () => {
  const { yaml } = await client.flows.exportStatusFlow({ flowId: "furniture" });
  const changed = yaml
    .replace("code: NOBODY_HOME", "code: NOT_MET\n    former_codes: [ NOBODY_HOME ]")
    .replaceAll("- NOBODY_HOME", "- NOT_MET")
    .replace("code: ORDERED", "code: ORDERED\n    retired: true");
  writeFileSync(join(folder, "changed.yaml"), changed);
  expect(await run("leadline flows import changed.yaml")).toMatchObject({ exit: 0 });
  expect((await run("leadline flows publish furniture")).out).toBe("furniture version 3, the default of new orders\n");
  expect((await run("leadline flows move --from furniture")).out).toBe("4 moved\n");
  const { orders } = await client.orders.batchGetOrders({ orderIds: ["po-1", "po-2"] });
  expect(orders.map(({ flowVersion, status }) => [flowVersion, status])).toEqual([
    [3, "ORDERED"],
    [3, "PASSED"],
  ]);
});

test("every command has help, and JSON for programs", async () => {
  const commands = ["list", "export", "import", "validate", "simulate", "dry-run", "publish", "move"];
  const { out } = await leadlineHere(["flows", "--help"], env);
  for (const command of commands) {
    expect(out).toMatch(new RegExp(`^  ${command} `, "m"));
    const help = await leadlineHere(["flows", command, "--help"], env);
    expect(help).toMatchObject({ exit: 0, err: "" });
    expect(help.out).toContain("--json");
  }
  const json = async (words: string) => {
    const ran = await leadlineHere([...words.split(" "), "--json"], env);
    return ran.out
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
  };
  expect(await json("flows list")).toMatchObject([
    { id: "broken" },
    { id: "furniture", isDefault: true },
    { id: "standard" },
  ]);
  expect(await json("flows validate broken")).toMatchObject([{ kind: "FLOW_FINDING_KIND_DEAD_END" }, {}]);
  expect(await json("flows simulate furniture PASSED")).toMatchObject([{ status: "ORDERED" }, { status: "PASSED" }]);
  expect((await json("flows dry-run furniture")).at(-1)).toMatchObject({ summary: { examined: 4, stranded: 0 } });
  expect(await json("flows move --from furniture")).toEqual([{ summary: { moved: 0, unmapped: 0, finished: true } }]);
  expect(await json("flows export furniture")).toMatchObject([{ yaml: expect.stringContaining("id: furniture") }]);
});

test("an order that a move would leave behind is stranded before, wherever it would stand", async () => {
  await client.orders.createOrder({ orderId: "po-9", flowId: "standard" });
  for (const [i, status] of ["PROCESSING", "READY"].entries()) {
    const occurredAt = { instant: { seconds: 1_770_000_000n + BigInt(i) } };
    const report = { status, sourceId: status, classifier: Classifier.ACTUAL, occurredAt };
    await client.orders.reportStatus({ orderId: "po-9", report });
  }
  const told = "stranded  po-9  READY -> PASSED  unknown: PROCESSING\n";
  const dry = await run("leadline flows dry-run furniture --orders-of standard --map READY=PASSED");
  expect(dry).toMatchObject({ exit: 1, out: `${told}1 orders: 1 stranded, 0 would stand elsewhere\n` });
  const moved = await run("leadline flows move --from standard --to furniture --map READY=PASSED");
  expect(moved).toMatchObject({ exit: 1, out: `${told}0 moved, 1 left: a status of theirs becomes nothing\n` });
});

test("wrong use and refusals are one line with a reason", async () => {
  const told = async (...words: string[]) => {
    const { exit, err } = await leadlineHere(["flows", ...words], env);
    return [exit, err.split("\n")[0]];
  };
  expect(await told("validate", "nowhere")).toEqual([1, expect.stringMatching(/nowhere.* \(FLOW_UNKNOWN\)$/)]);
  expect(await told("publish", "furniture")).toEqual([1, expect.stringMatching(/\(DRAFT_MISSING\)$/)]);
  expect(await told("publish", "broken")).toEqual([1, expect.stringMatching(/ends_journey.*\(FLOW_INVALID\)$/)]);
  expect(await told("import", join(folder, "none.yaml"))).toEqual([64, expect.stringMatching(/\(WRONG_USE\)$/)]);
  expect(await told("move", "--from", "furniture", "--map", "a")).toEqual([64, expect.stringMatching(/OLD=NEW/)]);
  writeFileSync(join(folder, "odd.yaml"), "id: odd\ncolour: red\n");
  expect(await told("import", join(folder, "odd.yaml"))).toEqual([
    1,
    expect.stringMatching(/line 2.*\(FLOW_UNREADABLE\)$/),
  ]);
});
