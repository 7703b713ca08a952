import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { program } from "../../src/cli/main.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { leadline, leadlineHere, nowhere } from "./leadline.ts";

/** The words of every command, those of groups too: `keys`, `keys create`. */
function wordsOf(command: Command, before: readonly string[] = []): string[][] {
  return command.commands.flatMap((one) => [[...before, one.name()], ...wordsOf(one, [...before, one.name()])]);
}

const commands = wordsOf(program(new Terminal(process.stdout, process.stderr, {})));

describe("help", () => {
  test("names every command, the exit codes and examples", async () => {
    const { exit, out } = await leadline(["--help"]);
    expect(exit).toBe(0);
    expect(commands.length).toBeGreaterThan(25);
    for (const [command] of commands) expect(out).toMatch(new RegExp(`^  ${command}\\b`, "m"));
    for (const code of ["0", "1", "64", "69", "70", "77", "78", "130"])
      expect(out).toMatch(new RegExp(`^  ${code} `, "m"));
    expect(out).toContain("Examples:");
  });

  test.each(commands.map((words) => [words.join(" "), words]))("of %s has an example", async (name, words) => {
    const { exit, out } = await leadlineHere([...words, "--help"]);
    expect(exit).toBe(0);
    expect(out).toMatch(new RegExp(`^ {2}(\\S.* )?leadline ${name}\\b`, "m"));
  });

  test("--version says what package.json says", async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
    expect(await leadlineHere(["--version"])).toEqual({ exit: 0, out: `${version}\n`, err: "" });
  });

  test.each([
    [["wacth"], "leadline --help"],
    [["keys", "remove"], "leadline keys --help"],
    [["keys", "list", "--tenants"], "leadline keys list --help"],
  ])("is pointed at after %j", async (words, hint) => {
    const { exit, err } = await leadlineHere(words);
    expect(exit).toBe(64);
    expect(err).toContain(`\nhint: ${hint} tells what there is\n`);
  });
});

describe("wrong use", () => {
  test.each([
    [["frobnicate"], "unknown command 'frobnicate'"],
    [["watch", "parcels"], "Allowed choices are orders, bookings"],
    [["watch", "--phase", "LOST"], "It must be one of RECEIVED"],
    [["watch", "--state", "CONFIRMED"], "--state is a filter of bookings"],
    [["watch", "--reference", "4711"], '--reference "4711" has no type'],
    [["watch", "--since", "1-a", "--resume", "file"], "--since and --resume both say"],
    [["report", "--status", "READY"], "required option '--order <id>'"],
    [["report", "--order", "po-7"], "nothing is reported"],
    [["report", "--order", "po-7", "--status", "READY", "--at", "yesterday"], '"yesterday" is no time'],
    [["report", "--order", "po-7", "--status", "READY", "--line", "ten"], '--line "ten" is no line and quantity'],
    [["report", "--order", "po-7", "--status", "READY", "--leg", "101"], "a whole number from 1 to 100"],
    [["watch", "orders", "--space", "FULL"], "--space is a filter of bookings"],
    [["import"], "give files, --work-list, --retry or --inbound"],
    [["import", "/nonexistent/events.json"], "cannot read /nonexistent/events.json"],
    [["keys", "create", "--name", "x", "--role", "king"], "It must be one of OWNER"],
    [["keys", "create", "--name", "x", "--role", "viewer", "--expires", "soon"], '"soon" is no span of time'],
  ])("%j: exit code 64, and one line that says what is wrong", async (words, says) => {
    const { exit, out, err } = await leadlineHere(words);
    expect(exit).toBe(64);
    expect(out).toBe("");
    const [first] = err.split("\n");
    expect(first).toMatch(/^leadline: .* \([A-Z_]+\)$/);
    expect(first).toContain(says);
  });
});

test("the classifier that help names as the default is one that can be given", async () => {
  const { out } = await leadlineHere(["report", "--help"]);
  expect(out).toMatch(/--classifier[^-]+\(default: ACTUAL\)/);
});

describe("migrate", () => {
  test("without a database to migrate says that the embedded one needs none", async () => {
    const { exit, err } = await leadline(["migrate"]);
    expect(exit).toBe(78);
    expect(err).toMatch(/^leadline: there is no DATABASE_URL \(DATABASE_URL_MISSING\)\nhint: the embedded Postgres/);
  });

  test("with a database that is not there says so", async () => {
    const { exit, err } = await leadline(["migrate"], { env: { DATABASE_URL: "postgres://a@127.0.0.1:1/b" } });
    expect(exit).toBe(69);
    expect(err).toMatch(/^leadline: cannot reach the database: .*ECONNREFUSED.* \(DATABASE_UNAVAILABLE\)\nhint: /);
  });
});

describe("without a service", () => {
  test.each([
    [["report", "--order", "po-7", "--status", "READY"]],
    [["keys", "list"]],
    [["tenants", "list"]],
    [["import", "--work-list"]],
  ])("%j: exit code 69, where it was looked for, and what to do", async (words) => {
    const { exit, err } = await leadlineHere([...words, "--address", nowhere]);
    expect(exit).toBe(69);
    expect(err).toMatch(
      /^leadline: cannot reach 127\.0\.0\.1:1: .* \(UNAVAILABLE\)\nhint: start it with `leadline serve`/,
    );
  });

  test.each(["", " "])("an address of %j is none", async (address) => {
    const { err } = await leadline(["keys", "list", "--address", address], { env: { LEADLINE_ADDRESS: nowhere } });
    expect(err).toContain("cannot reach 127.0.0.1:1");
  });

  test("the address may come from the environment", async () => {
    const { err } = await leadline(["keys", "list"], { env: { LEADLINE_ADDRESS: nowhere } });
    expect(err).toContain("cannot reach 127.0.0.1:1");
  });

  test("an import refuses what cannot be sent by itself, and says so as JSON", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "leadline-")), "items.json");
    writeFileSync(file, '[7, "text", null, []]');
    const { exit, out } = await leadline(["import", "--json", "--address", nowhere, file]);
    const lines = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.slice(0, 4)).toEqual(
      [1, 2, 3, 4].map((number) => ({
        item: `${file}#${number}`,
        outcome: "IMPORT_OUTCOME_REFUSED",
        reason: "MESSAGE_MALFORMED",
        message: "is no JSON object",
      })),
    );
    expect(lines[4]).toMatchObject({ summary: { items: 4, REFUSED: 4, APPLIED: 0 } });
    expect(exit).toBe(1);
  });

  test("an import reads standard input, and a file that is no JSON is one refused item", async () => {
    const { exit, out } = await leadline(["import", "--address", nowhere, "-"], { input: "{not json" });
    expect(out).toMatch(/^REFUSED {8}-#1 {2}MESSAGE_MALFORMED: no JSON: /);
    expect(out).toContain("1 item: 1 refused");
    expect(exit).toBe(1);
  });
});

test("a reader that goes away ends the command without an error", async () => {
  const { exit, err } = await leadline(["doctor", "--settings"], { closeOutput: true });
  expect(err).toBe("");
  expect(exit).toBe(0);
});

describe("doctor", () => {
  test("says what is wrong with settings, names the one that was meant, and fails", async () => {
    const { exit, out } = await leadline(["doctor", "--json"], {
      env: { LEADLINE_GRCP_PORT: "1", LEADLINE_HTTP_PORT: "99999999" },
    });
    const found = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(found).toContainEqual({
      check: "settings",
      result: "warn",
      message: "LEADLINE_GRCP_PORT is no setting",
      advice: "did you mean LEADLINE_GRPC_PORT?",
    });
    expect(found).toContainEqual(expect.objectContaining({ check: "settings", result: "fail" }));
    expect(exit).toBe(1);
  });

  test("an unreachable database and NATS fail with what to do", async () => {
    const { exit, out } = await leadline(["doctor", "--json", "--address", nowhere], {
      env: { DATABASE_URL: "postgres://leadline@127.0.0.1:1/leadline", NATS_URL: "nats://127.0.0.1:1" },
    });
    const failed = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ result }) => result === "fail");
    expect(failed.map(({ check }) => check)).toEqual(["database", "bus", "gRPC door"]);
    for (const { advice } of failed) expect(advice).not.toBe("");
    expect(exit).toBe(1);
  });
});
