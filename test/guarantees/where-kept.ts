import type { TestDatabase } from "../support/database.ts";

/** Where any of the texts stands in the database: table and column, and the text; read around all walls. */
export async function whereKept(database: TestDatabase, texts: readonly string[]): Promise<string[]> {
  const columns = await database.sql<{ table: string; column: string; type: string }>(
    `select c.relname as table, a.attname as column, format_type(a.atttypid, null) as type from pg_class c
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
       and format_type(a.atttypid, null) in ('text', 'bytea', 'jsonb')`,
  );
  const found: string[] = [];
  for (const { table, column, type } of columns) {
    const bytes = type === "bytea" ? `"${column}"` : `convert_to("${column}"::text, 'UTF8')`;
    const hits = await database.sql<{ text: string }>(
      `select distinct t.text from ${table} x, unnest($1::text[]) as t (text) where position(convert_to(t.text, 'UTF8') in ${bytes}) > 0`,
      [texts],
    );
    for (const { text } of hits) found.push(`${table}.${column}: ${text}`);
  }
  return found.sort();
}
