import type { TestDatabase } from "../support/database.ts";

/** What is wrong with the journals of a database, each in a line; empty: nothing. Design, section 8, promises 1, 5 and 6. */
export async function journalFaults(database: TestDatabase): Promise<string[]> {
  const faults = await database.sql<{ fault: string }>(`
    select format('tenant %s: revision %s follows %s', tenant_id, revision, before) as fault
      from (select tenant_id, revision, lag(revision, 1, 0::bigint) over (partition by tenant_id order by revision) before
            from event) e where revision <> before + 1
    union all
    select format('tenant %s: recorded time goes back at revision %s', tenant_id, revision)
      from (select tenant_id, revision, recorded_at,
                   lag(recorded_at) over (partition by tenant_id order by revision) before from event) e
      where recorded_at < before
    union all
    select format('tenant %s: version %s of %s follows %s', tenant_id, version, subject_id, before)
      from (select tenant_id, subject_id, version,
                   lag(version, 1, 0::bigint) over (partition by tenant_id, kind, subject_id order by revision) before
            from event) e where version <> before + 1
    union all
    select format('tenant %s: the head says %s, the journal ends at %s', h.tenant_id, h.revision, e.last)
      from journal_head h
      left join lateral (select revision as last, event_id from event where tenant_id = h.tenant_id
                         order by revision desc limit 1) e on true
      where h.revision <> coalesce(e.last, 0) or (e.last is not null and h.event_id <> e.event_id)
    union all
    select format('tenant %s: row %s is at version %s of revision %s, its last event is not', s.tenant_id, s.id, s.version,
                  s.changed_revision)
      from subject s
      left join event e on e.tenant_id = s.tenant_id and e.revision = s.changed_revision
      where e.subject_id is distinct from s.id or e.version is distinct from s.version
         or e.event_id is distinct from s.changed_event_id
    union all
    select format('tenant %s: %s has events and no row', e.tenant_id, e.subject_id)
      from (select distinct tenant_id, kind, subject_id from event) e
      left join subject s on s.tenant_id = e.tenant_id and s.kind = e.kind and s.id = e.subject_id
      where s.id is null`);
  return faults.map((row) => row.fault);
}
