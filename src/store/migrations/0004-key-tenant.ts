import { Migration } from "@mikro-orm/migrations";

/*
 * Whose a key is, by a function whose result is no row of the table. `find_key` answers with rows of `api_key`: while another
 * migration adds a column to that, a call that began before it and goes on after it finds more columns than it has announced,
 * and fails. It stays for instances of the release before.
 */
export class KeyTenant0004 extends Migration {
  override up(): void {
    this.addSql(`
      create function tenant_of_key(key_id text) returns text
        language sql stable security definer set search_path from current
        as $$ select tenant_id from api_key where id = key_id $$`);
    this.addSql(`revoke all on function tenant_of_key(text) from public`);
    this.addSql(`grant execute on function tenant_of_key(text) to leadline_app`);
  }
}
