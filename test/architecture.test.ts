import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");

/** The way of the data: a folder may import those named with it, and itself. `gen` and packages are open to all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  domain: [],
  wire: ["domain"],
  store: ["domain"],
  bus: ["domain"],
  journal: ["domain", "wire", "store"],
  watch: ["domain", "wire", "journal", "bus"],
  service: ["domain", "wire", "store", "bus", "journal", "watch"],
  doors: ["domain", "wire", "watch", "service"],
  settings: ["service"],
  client: [],
  cli: ["client", "app", "store", "."],
  build: [],
};

/** The rooms that put the parts together: the top itself and `app`. They may see everything. */
const COMPOSERS = [".", "app"];

const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => /\.(ts|tsx)$/.test(name))
  .map((name) => `src/${name}`)
  .sort();

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map((m) => m[1] ?? "");
  return specifiers.map((s) => relative(root, join(root, file, "..", s)));
}

/** `src/watch/hub.ts` -> `watch`; a file of the top itself -> `.`. */
function folderOf(file: string): string {
  const [, folder, ...rest] = file.split("/");
  return rest.length > 0 && folder !== undefined ? folder : ".";
}

describe("the house", () => {
  it("has no file that is not of one of its rooms", () => {
    expect(files.map(folderOf).filter((f) => !COMPOSERS.includes(f) && !(f in MAY_IMPORT))).toEqual([]);
  });

  it("imports one way, along the way of the data", () => {
    const against = files
      .filter((file) => !COMPOSERS.includes(folderOf(file)))
      .flatMap((file) =>
        importsOf(file)
          .filter((target) => target.startsWith("src/"))
          .filter((target) => {
            const [from, to] = [folderOf(file), folderOf(target)];
            return from !== to && !MAY_IMPORT[from]?.includes(to);
          })
          .map((target) => `${file} -> ${target}`),
      );
    expect(against).toEqual([]);
  });

  it("keeps the domain free of I/O", () => {
    const io = /from "(node:(?!util)[^"]+|pg|nats|@grpc\/[^"]*|@mikro-orm\/[^"]*|@connectrpc\/[^"]*)"/;
    const doing = files
      .filter((f) => folderOf(f) === "domain")
      .filter((f) => io.test(readFileSync(join(root, f), "utf8")));
    expect(doing).toEqual([]);
  });

  it("keeps a file to what fits in a head", () => {
    const long = files
      .map((file) => ({ file, lines: readFileSync(join(root, file), "utf8").split("\n").length }))
      .filter(({ lines }) => lines > 400);
    expect(long).toEqual([]);
  });

  it("has no sleeping test, no skipped one, and no work left for later", () => {
    const tests = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" }).filter((n) =>
      n.endsWith(".ts"),
    );
    const marks = [/\b(it|test|describe)\.(skip|only|todo)\(/, /\bTO[D]O\b|\bFIX[M]E\b/];
    const found = [...files, ...tests.map((n) => `test/${n}`)].filter((file) => {
      const text = readFileSync(join(root, file), "utf8");
      return file !== "test/architecture.test.ts" && marks.some((mark) => mark.test(text));
    });
    expect(found).toEqual([]);
  });
});
