import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { freePort } from "../../src/store/embedded-process.ts";
import { libraryFolder, unpackDebian } from "./debian.ts";
import { end, whenUp } from "./process.ts";

/** A PgBouncer of a test's own, on 127.0.0.1. */
export interface PgBouncer extends AsyncDisposable {
  readonly port: number;
}

/** With the libraries that a minimal system does not have. */
const packages = ["pgbouncer", "libevent-2.1-7", "libc-ares2", "libssl3", "libsystemd0", "libpam0g"];

/**
 * Starts one before a server of 127.0.0.1, for one login. `connectQuery` is run on each connection that it makes to it. As root it runs as somebody else. Throws an `Error` that says what to
 * install if there is none.
 */
export async function startPgBouncer(
  target: URL,
  settings: Readonly<Record<string, string>>,
  connectQuery?: string,
): Promise<PgBouncer> {
  const { file, env } = await findPgBouncer();
  const folder = mkdtempSync(join(tmpdir(), "leadline-pgbouncer-"));
  chmodSync(folder, 0o755);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const port = await freePort();
    const users = join(folder, "users.txt");
    writeFileSync(users, `"${target.username}" "${target.password}"\n`, { mode: 0o644 });
    const all = {
      ...{
        listen_addr: "127.0.0.1",
        listen_port: String(port),
        unix_socket_dir: "",
        auth_type: "plain",
        auth_file: users,
      },
      ...(process.getuid?.() === 0 ? { user: "nobody" } : {}),
      ...settings,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
    const query = connectQuery === undefined ? "" : ` connect_query='${connectQuery}'`;
    const ini = ["[databases]", `* = host=${target.hostname} port=${target.port}${query}`, "[pgbouncer]", ...lines, ""];
    writeFileSync(join(folder, "pgbouncer.ini"), ini.join("\n"), { mode: 0o644 });
    const child = spawn(file, ["-q", join(folder, "pgbouncer.ini")], {
      env,
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
    });
    let words = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-4_096);
    });
    child.once("exit", remove);
    const through = new URL(target);
    through.port = String(port);
    await whenUp(
      child,
      () => answers(through.href),
      () => words.trim(),
    );
    return { port, [Symbol.asyncDispose]: () => end(child, "SIGTERM") };
  } catch (error) {
    remove();
    throw error;
  }
}

async function findPgBouncer(): Promise<{ file: string; env: NodeJS.ProcessEnv }> {
  const env = { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" };
  const place = "usr/sbin/pgbouncer";
  if (existsSync(join("/", place))) return { file: join("/", place), env };
  try {
    const root = await unpackDebian("pgbouncer", packages);
    return { file: join(root, place), env: { ...env, LD_LIBRARY_PATH: join(root, libraryFolder) } };
  } catch (error) {
    throw new Error(`no PgBouncer: install pgbouncer (${(error as Error).message})`);
  }
}

async function answers(url: string): Promise<true | undefined> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("select 1");
    await client.end();
    return true;
  } catch {
    return undefined;
  }
}
