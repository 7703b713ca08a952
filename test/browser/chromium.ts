import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import sparticuz from "@sparticuz/chromium";
import { type Browser, chromium } from "playwright-core";
import { libraryFolder, unpackDebian } from "../support/debian.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

/** What Chromium needs beside libc: Debian's packages. */
const libraries = ["libnss3", "libnspr4", "libexpat1", "libsqlite3-0"];

/**
 * Starts the Chromium that comes in `@sparticuz/chromium`. It is unpacked into `.cache/` once (200 MB). Libraries that the
 * system lacks are fetched from Debian into `.cache/` as well. Throws an `Error` that says what to install where that is
 * impossible.
 */
export async function startChromium(): Promise<Browser> {
  const executablePath = await unpackedChromium();
  const env = await environmentFor(executablePath);
  // Not the package's own arguments: they switch web security off, and with it what CORS refuses.
  return chromium.launch({ executablePath, headless: true, env, args: ["--no-sandbox", "--disable-gpu"] });
}

async function unpackedChromium(): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(root, "node_modules/@sparticuz/chromium/package.json"), "utf8")) as {
    version: string;
  };
  const folder = join(root, ".cache", `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(join(root, ".cache"), { recursive: true });
    const work = mkdtempSync(join(root, ".cache", ".chromium-"));
    try {
      await unpackInto(work);
      renameSync(work, folder);
    } catch (error) {
      // Another test process may have been quicker.
      rmSync(work, { recursive: true, force: true });
      if (!existsSync(folder)) throw error;
    }
  }
  return join(folder, "chromium");
}

/** The package unpacks into the folder for temporary files, and takes what it finds there for whole. */
async function unpackInto(folder: string): Promise<void> {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = folder;
  try {
    await sparticuz.executablePath();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}

/** The environment in which it finds its libraries. */
async function environmentFor(executable: string): Promise<Record<string, string>> {
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]));
  const lacking = await lackingLibraries(executable, env);
  if (lacking.length === 0) return env;
  const advice = `Chromium needs ${lacking.join(", ")}: install ${libraries.join(" ")}`;
  let unpacked: string;
  try {
    unpacked = await unpackDebian("chromium-libraries", libraries);
  } catch (error) {
    throw new Error(`${advice} (${error instanceof Error ? error.message : String(error)})`);
  }
  const folders = [join(unpacked, libraryFolder), join(unpacked, libraryFolder.replace(/^usr\//, ""))];
  const found = { ...env, LD_LIBRARY_PATH: [...folders, env.LD_LIBRARY_PATH ?? ""].filter(Boolean).join(":") };
  const still = await lackingLibraries(executable, found);
  if (still.length > 0) throw new Error(`${advice}; still missing: ${still.join(", ")}`);
  return found;
}

async function lackingLibraries(executable: string, env: Record<string, string>): Promise<string[]> {
  const { stdout } = await run("ldd", [executable], { env });
  return [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? "");
}
