import { Migration } from "@mikro-orm/migrations";
import { protect } from "./protect.ts";

/*
 * Status flows of tenants' own, mappings of partners' codes, raw inbound messages, what a tenant's life and tier say, and an
 * audit journal for each tenant. It only adds: instances of the release before go on working.
 */
export class FlowsAndTiers0002 extends Migration {
  override up(): void {
    this.addSql(`
      alter table tenant
        add column state smallint not null default 1,
        add column state_since timestamptz,
        add column state_reason text not null default '',
        add column delete_at timestamptz,
        add column default_flow_id text collate "C" not null default '',
        add column settings jsonb not null default '{}'`);
    this.addSql(`
      alter table api_key
        add column support boolean not null default false,
        add column reason text not null default ''`);
    // What is worked on; published versions stand in a table of their own and never change.
    this.addSql(`
      create table status_flow (
        tenant_id text collate "C" not null references tenant,
        id text collate "C" not null,
        name text not null,
        draft bytea,
        published_version int not null,
        edition int not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (tenant_id, id)
      )`);
    this.addSql(`
      create table status_flow_version (
        tenant_id text collate "C" not null,
        flow_id text collate "C" not null,
        version int not null,
        definition bytea not null,
        published_at timestamptz not null,
        published_by text not null,
        primary key (tenant_id, flow_id, version),
        foreign key (tenant_id, flow_id) references status_flow
      )`);
    this.addSql(`
      create table code_mapping (
        tenant_id text collate "C" not null references tenant,
        code_list smallint not null,
        code text collate "C" not null,
        carrier text collate "C" not null,
        milestone text not null,
        exception boolean not null,
        primary key (tenant_id, code_list, code, carrier)
      )`);
    this.addSql(`
      create table inbound_message (
        id text collate "C" primary key,
        tenant_id text collate "C" not null references tenant,
        format smallint not null,
        carrier text not null,
        source_id text collate "C" not null,
        item text not null,
        actor text not null,
        result bytea not null,
        received_at timestamptz not null
      )`);
    this.addSql(`create index inbound_message_by_tenant on inbound_message (tenant_id, received_at, id)`);
    this.addSql(`create index inbound_message_by_source on inbound_message (tenant_id, source_id, received_at, id)`);
    // Which code an item waits for, so that a mapping that is mended can tell how many it concerns.
    this.addSql(`
      alter table work_item
        add column code_list smallint not null default 0,
        add column code text collate "C" not null default '',
        add column code_carrier text collate "C" not null default ''`);
    this.addSql(`create index work_item_by_code on work_item (tenant_id, code_list, code) where code <> ''`);
    this.addSql(`create index work_item_by_try on work_item (tenant_id, tried_at, id)`);
    // What orders go through a flow is asked when it is dry-run or they are moved; those of the standard flow are found by
    // their creation or stage. The indexes hold nothing of them, and a report changes nothing in them unless it ends a journey.
    this.addSql(`
      alter table subject
        add column flow_id text collate "C" not null default '',
        add column flow_version int not null default 0,
        add column ended_at timestamptz`);
    this.addSql(`
      create index subject_by_flow on subject (tenant_id, kind, flow_id, flow_version, created_revision desc)
        where flow_id <> ''`);
    this.addSql(`
      create index subject_open_by_flow on subject (tenant_id, kind, flow_id, flow_version, created_revision desc)
        where flow_id <> '' and ended_at is null`);
    this.addSql(`create index subject_by_end on subject (tenant_id, ended_at) where ended_at is not null`);
    // The audit journal of a tenant is a journal like any other, under the tenant's id with \`.audit\` after it: ids of tenants
    // contain no point.
    this.addSql(`alter table journal_head drop constraint journal_head_tenant_id_fkey`);
    for (const table of ["status_flow", "status_flow_version", "code_mapping", "inbound_message"]) {
      for (const statement of protect(table, "tenant_id")) this.addSql(statement);
    }
  }
}
