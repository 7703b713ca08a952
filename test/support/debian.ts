import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = join(import.meta.dirname, "../../.cache/debian");

/** The folder names of libraries on this processor, for `LD_LIBRARY_PATH` below an unpacked root. */
export const libraryFolder = `usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`;

/**
 * Unpacks Debian packages into the project's cache, without installing them and without needing root, and returns the folder
 * that holds their `usr/`. Fetched once; later calls find it. Dependencies are not followed: name what is needed.
 *
 * Throws an `Error` of one line where that is impossible (not Debian, no network, no such package in this release).
 */
export async function unpackDebian(name: string, packages: readonly string[]): Promise<string> {
  const root = join(cache, name);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, `.${name}-`));
  try {
    const unpacked = join(work, "root");
    mkdirSync(unpacked, { mode: 0o755 });
    await download(work, packages);
    for (const file of readdirSync(work)) {
      if (file.endsWith(".deb")) await run("dpkg", ["-x", join(work, file), unpacked]);
    }
    renameSync(unpacked, root);
  } catch (error) {
    // Another test process may have been quicker: then the folder is there and as good as ours.
    if (!existsSync(root)) throw new Error(`cannot fetch ${packages.join(", ")} from Debian: ${firstLine(error)}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return root;
}

/** With the system's package lists, or, where they are missing or too old, with fresh ones of our own. */
async function download(folder: string, packages: readonly string[]): Promise<void> {
  // As root apt would change to a user of its own, who cannot write here.
  const asSelf = ["-q", "-o", "APT::Sandbox::User=root"];
  try {
    await run("apt-get", [...asSelf, "download", ...packages], { cwd: folder });
  } catch {
    const apt = join(folder, "apt");
    for (const part of ["lists/partial", "archives/partial"]) mkdirSync(join(apt, part), { recursive: true });
    const own = ["-o", `Dir::State=${apt}`, "-o", `Dir::Cache=${apt}`, "-o", "Dir::State::status=/var/lib/dpkg/status"];
    await run("apt-get", [...asSelf, ...own, "update"], { cwd: folder });
    await run("apt-get", [...asSelf, ...own, "download", ...packages], { cwd: folder });
  }
}

function firstLine(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  const lines = (stderr || message).split("\n");
  return lines.find((line) => /^E:|ENOENT/.test(line)) ?? lines[0] ?? "";
}
