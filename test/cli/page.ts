import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type Ready, ServiceProcess } from "../client/service-process.ts";

const root = join(import.meta.dirname, "../..");

/** A section of a page, with the shell commands that stand in it. */
export interface Section {
  readonly heading: string;
  readonly commands: string;
}

/** The sections of a page of the repository that have commands. */
export function sectionsOf(path: string): Section[] {
  const page = readFileSync(join(root, path), "utf8");
  return page.split(/^#+ (?=.*\n\n)/m).flatMap((section) => {
    const commands = [...section.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, lines]) => lines).join("");
    return commands === "" ? [] : [{ heading: section.split("\n")[0] ?? "", commands }];
  });
}

/** Somebody who follows a page: a service of their own, and a folder to work in. */
export interface PageReader extends AsyncDisposable {
  readonly service: Ready;
  readonly folder: string;
  /**
   * Runs the commands in one shell. The first that fails ends it; then it rejects with what the commands wrote to standard
   * error. A job in the background that they keep in `WATCH` is ended. @returns what was written, by heading
   */
  follow(sections: readonly Section[], env?: Readonly<Record<string, string>>): Promise<Map<string, string>>;
}

export async function startPageReader(): Promise<PageReader> {
  await using stack = new AsyncDisposableStack();
  const running = stack.use(await ServiceProcess.prepare());
  const folder = mkdtempSync(join(tmpdir(), "leadline-page-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const service = await running.start();
  const here = {
    LEADLINE_ADDRESS: service.grpc,
    LEADLINE_GRPC_PORT: new URL(`http://${service.grpc}`).port,
    LEADLINE_HTTP_PORT: new URL(service.http).port,
    LEADLINE_DATA_DIR: running.dataDir,
  };
  const end = stack.move();
  return {
    service,
    folder,
    follow: (sections, env = {}) => follow(sections, folder, { ...here, ...env }),
    [Symbol.asyncDispose]: () => end.disposeAsync(),
  };
}

async function follow(
  sections: readonly Section[],
  folder: string,
  env: Readonly<Record<string, string>>,
): Promise<Map<string, string>> {
  const script = sections.map(({ heading, commands }) => `echo '== ${heading}'\n${commands}`);
  const file = join(folder, "page.sh");
  // Programs of their own, so that what runs in the background is ended by its own id.
  const program = (name: string, line: string) =>
    writeFileSync(join(folder, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
  program("leadline", `'${process.execPath}' '${join(root, "src/main.js")}'`);
  program("npx", "env");
  writeFileSync(file, `set -eu\ntrap 'kill \${WATCH:-} 2>/dev/null || true' EXIT\n${script.join("\n")}`);
  const path = [folder, join(root, "node_modules/.bin"), process.env.PATH].join(":");
  const child = spawn("bash", [file], { cwd: folder, env: { ...env, PATH: path } });
  const [out, err, exit] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  if (exit !== 0) throw new Error(`the page's commands ended with ${exit}: ${err}`);
  const written = out.split(/^== /m).map((section) => section.split(/\n([\s\S]*)/) as [string, string]);
  return new Map(written);
}
