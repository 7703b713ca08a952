import { Migration } from "@mikro-orm/migrations";
import { protect } from "./protect.ts";

/*
 * Roles. The role that runs migrations owns everything and serves nothing. `leadline_app` may read and write rows, owns
 * nothing, and is subject to row-level security; instances log in as a member of it.
 *
 * Row-level security. A transaction names the tenants it works for in `app.tenants` (ids joined by commas; ids contain no
 * comma); rows of others do not exist for it. Unset means none. The service owner's listing of tenants sets
 * `app.service_owner`, which opens the table of tenants and nothing else.
 */

const TENANT_TABLES: readonly (readonly [table: string, column: string])[] = [
  ["tenant", "id"],
  ["api_key", "tenant_id"],
  ["journal_head", "tenant_id"],
  ["event", "tenant_id"],
  ["subject", "tenant_id"],
  ["subject_reference", "tenant_id"],
  ["request", "tenant_id"],
  ["work_item", "tenant_id"],
];

export class Journal0001 extends Migration {
  override up(): void {
    this.addSql(`
      create table tenant (
        id text collate "C" primary key,
        name text not null,
        tier smallint not null,
        created_at timestamptz not null
      )`);
    this.addSql(`
      create table api_key (
        id text collate "C" primary key,
        tenant_id text collate "C" not null references tenant,
        name text not null,
        role smallint not null,
        carrier text not null,
        secret_sha256 bytea not null,
        created_at timestamptz not null,
        expires_at timestamptz,
        revoked_at timestamptz,
        last_used_at timestamptz
      )`);
    this.addSql(`create index api_key_by_tenant on api_key (tenant_id, created_at desc, id)`);
    // One row a tenant, updated by every batch: room on the page keeps the updates heap-only.
    this.addSql(`
      create table journal_head (
        tenant_id text collate "C" primary key references tenant,
        journal_id text not null,
        revision bigint not null,
        event_id text not null,
        recorded_at timestamptz not null,
        floor bigint not null default 0
      ) with (fillfactor = 20)`);
    this.addSql(`
      create table event (
        tenant_id text collate "C" not null,
        revision bigint not null,
        event_id text collate "C" not null,
        kind smallint not null,
        subject_id text collate "C" not null,
        version bigint not null,
        carrier text collate "C" not null,
        recorded_at timestamptz not null,
        payload bytea not null,
        primary key (tenant_id, revision)
      )`);
    this.addSql(`create unique index event_by_subject on event (tenant_id, kind, subject_id, version)`);
    this.addSql(`
      create table subject (
        tenant_id text collate "C" not null,
        kind smallint not null,
        id text collate "C" not null,
        version bigint not null,
        created_revision bigint not null,
        changed_revision bigint not null,
        changed_event_id text not null,
        status text collate "C" not null,
        stage smallint not null,
        space smallint not null,
        carrier text collate "C" not null,
        summary bytea not null,
        details bytea not null,
        primary key (tenant_id, kind, id)
      ) with (fillfactor = 70)`);
    // Each is partial, on a condition that is always true: it serves the lists that name the condition, and no other
    // statement. Otherwise a planner without statistics takes it for a look-up by id, and reads every row of the tenant
    // (measured on a young table: 1 s in place of 1 ms). See the journal's list-question.ts.
    this.addSql(`
      create index subject_by_creation on subject (tenant_id, kind, created_revision desc) where created_revision > 0`);
    // One for stage, status and space: together they make few groups.
    this.addSql(`
      create index subject_by_stage on subject (tenant_id, kind, stage, status, space, created_revision desc)
        where stage >= 0`);
    // A carrier's every list has its code in it. Writes of orders do not pay for it.
    this.addSql(`
      create index subject_by_carrier on subject (tenant_id, carrier, stage, space, created_revision desc)
        where kind = 2 and space >= 0`);
    // With the subject's created_revision, so that a key that many share gives its newest first.
    this.addSql(`
      create table subject_reference (
        tenant_id text collate "C" not null,
        kind smallint not null,
        key text collate "C" not null,
        subject_id text collate "C" not null,
        created_revision bigint not null,
        primary key (tenant_id, kind, key, created_revision, subject_id)
      )`);
    this.addSql(`
      create table request (
        tenant_id text collate "C" not null,
        key bytea not null,
        hash bytea not null,
        answer bytea not null,
        recorded_at timestamptz not null,
        primary key (tenant_id, key)
      )`);
    this.addSql(`create index request_by_time on request using brin (recorded_at)`);
    this.addSql(`
      create table work_item (
        id text collate "C" primary key,
        tenant_id text collate "C" not null references tenant,
        format smallint not null,
        carrier text not null,
        source_id text not null,
        reason text not null,
        message text not null,
        item text not null,
        item_sha256 bytea not null,
        created_at timestamptz not null,
        tried_at timestamptz not null,
        tries int not null
      )`);
    this.addSql(`create unique index work_item_once on work_item (tenant_id, item_sha256)`);
    this.addSql(`create index work_item_by_tenant on work_item (tenant_id, created_at, id)`);
    this.addSql(`create table deployment (name text primary key, value bytea not null)`);
    this.addSql(`
      create table instance (
        id text primary key,
        started_at timestamptz not null,
        seen_at timestamptz not null
      )`);
    this.#protect();
  }

  #protect(): void {
    this.addSql(`
      do $$ begin
        -- A migrating role that may not create roles finds it made.
        if not exists (select from pg_roles where rolname = 'leadline_app') then
          create role leadline_app nologin nosuperuser nobypassrls;
        end if;
      exception when duplicate_object or unique_violation then null;
      end $$`);
    this.addSql(`do $$ begin execute format('grant usage on schema %I to leadline_app', current_schema()); end $$`);
    for (const [table, column] of TENANT_TABLES) {
      for (const statement of protect(table, column)) this.addSql(statement);
    }
    this.addSql(`
      create policy service_owner on tenant for select
        using ((select current_setting('app.service_owner', true)) = 'on')`);
    this.addSql(`grant select, insert, update, delete on deployment, instance to leadline_app`);
    // A key is found before its tenant is known: by this function, one key at a time, and in no other way.
    this.addSql(`do $$ begin
      execute format('create policy find_key on api_key for select to %I using (true)', current_user);
    end $$`);
    this.addSql(`
      create function find_key(key_id text) returns setof api_key
        language sql stable security definer set search_path from current
        as $$ select * from api_key where id = key_id $$`);
    this.addSql(`revoke all on function find_key(text) from public`);
    this.addSql(`grant execute on function find_key(text) to leadline_app`);
  }
}
