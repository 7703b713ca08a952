import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/*
 * The next release, as honest as it can be made before there is one: this release's own source, copied, with one migration
 * more, of the kind that releases bring (expand: a column with a default on every table, a table of its own under
 * row-level security). It migrates the database with its own `leadline migrate` and runs as its own process beside
 * instances of this release, which are then of release N-1 on schema N. What it cannot show is a change in what is written.
 */

const root = join(import.meta.dirname, "../..");
const NAME = "9999-next";

const MIGRATION = `import { Migration } from "@mikro-orm/migrations";

export class Next9999 extends Migration {
  override up(): void {
    for (const table of ["tenant", "api_key", "journal_head", "event", "subject", "subject_reference", "request", "work_item"]) {
      this.addSql("alter table " + table + " add column next_note text not null default ''");
    }
    this.addSql('create table next_thing (tenant_id text collate "C" not null references tenant, id text, primary key (tenant_id, id))');
    this.addSql("alter table next_thing enable row level security");
    this.addSql("alter table next_thing force row level security");
    this.addSql("create policy own_tenants on next_thing using (tenant_id = any ((select string_to_array(current_setting('app.tenants', true), ','))::text[]))");
    this.addSql("grant select, insert, update, delete on next_thing to leadline_app");
  }
}
`;

/** Makes its folder, which is removed on disposal. */
export function nextRelease(): { readonly folder: string } & AsyncDisposable {
  const folder = mkdtempSync(join(tmpdir(), "leadline-next-"));
  for (const part of ["src", "gen", "package.json"]) cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const migrations = join(folder, "src/store/migrations");
  writeFileSync(join(migrations, `${NAME}.ts`), MIGRATION);
  const index = join(migrations, "index.ts");
  const text = readFileSync(index, "utf8");
  const list = /(export const migrations = \[[^\]]*?),?(\s*\])/;
  if (!list.test(text)) throw new Error("the list of migrations is not where the next release adds its own");
  const extended = text.replace(list, `$1, { name: "${NAME}", class: Next9999 }$2`);
  writeFileSync(index, `import { Next9999 } from "./${NAME}.ts";\n${extended}`);
  return { folder, [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }) };
}

/** Brings the database to its schema, while instances serve. `compiled`: where instances find what it has compiled. */
export async function migrateToNext(folder: string, ownerUrl: string, compiled: string): Promise<void> {
  const env = { ...process.env, DATABASE_URL: ownerUrl, NODE_COMPILE_CACHE: compiled };
  await promisify(execFile)(process.execPath, [join(folder, "src/main.js"), "migrate"], { cwd: folder, env });
}
