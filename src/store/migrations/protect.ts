// The inner select makes it an init plan: evaluated once for a statement, not for every row.
const OWN = (column: string) =>
  `${column} = any ((select string_to_array(current_setting('app.tenants', true), ','))::text[])`;

/** The statements that put a table behind row-level security, and open it to instances: the rows of their tenants. */
export function protect(table: string, column: string): readonly string[] {
  return [
    `alter table ${table} enable row level security`,
    `alter table ${table} force row level security`,
    `create policy own_tenants on ${table} using (${OWN(column)}) with check (${OWN(column)})`,
    `grant select, insert, update, delete on ${table} to leadline_app`,
  ];
}
