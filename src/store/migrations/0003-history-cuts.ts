import { Migration } from "@mikro-orm/migrations";
import { protect } from "./protect.ts";

/*
 * What cutting the history of journeys that ended long ago needs. It only adds: instances of the release before go on working,
 * and nothing is cut as long as one of them may run, because it would read a cut history from its first event.
 */
export class HistoryCuts0003 extends Migration {
  override up(): void {
    // A subject as it was after the last of its events that are gone: where the fold of the others starts.
    this.addSql(`
      create table history_checkpoint (
        tenant_id text collate "C" not null,
        kind smallint not null,
        id text collate "C" not null,
        version bigint not null,
        revision bigint not null,
        recorded_at timestamptz not null,
        cut_at timestamptz not null,
        history_days int not null,
        removed boolean not null,
        summary bytea not null,
        details bytea not null,
        primary key (tenant_id, kind, id)
      )`);
    this.addSql(`create index history_checkpoint_unremoved on history_checkpoint (tenant_id) where not removed`);
    this.addSql(`
      alter table journal_head
        add column cut_subjects bigint not null default 0,
        add column cut_events bigint not null default 0,
        add column cut_at timestamptz`);
    // Set by the cut, unset by every write: a write that finds it unset changes nothing in the index and stays heap-only.
    this.addSql(`alter table subject add column history_cut boolean not null default false`);
    this.addSql(`
      create index subject_by_uncut_end on subject (tenant_id, ended_at, kind, id)
        where ended_at is not null and not history_cut`);
    this.addSql(`drop index subject_by_end`); // nothing asked it
    this.addSql(`alter table instance add column schema text collate "C" not null default ''`);
    for (const statement of protect("history_checkpoint", "tenant_id")) this.addSql(statement);
    this.#tellEnds();
  }

  /**
   * Rows that were written before rows told their end: their last change is not before it. Their flow is the standard flow
   * (DELIVERED 8, CANCELLED 9), their bookings are REJECTED 6, DECLINED 7, CANCELLED 8 or COMPLETED 9. Tenant by tenant, because
   * row-level security holds the owner too.
   */
  #tellEnds(): void {
    this.addSql(`
      do $$ declare one record; begin
        perform set_config('app.service_owner', 'on', true);
        for one in select id from tenant loop
          perform set_config('app.tenants', one.id, true);
          update subject s set ended_at = e.recorded_at from event e
            where s.tenant_id = one.id and s.ended_at is null
              and (s.kind = 1 and s.flow_id = '' and s.stage in (8, 9) or s.kind = 2 and s.stage between 6 and 9)
              and e.tenant_id = s.tenant_id and e.revision = s.changed_revision;
        end loop;
        perform set_config('app.tenants', '', true), set_config('app.service_owner', '', true);
      end $$`);
  }
}
