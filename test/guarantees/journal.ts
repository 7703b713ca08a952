import type { TestDatabase } from "../support/database.ts";
import { foldFaults } from "./fold.ts";

/** What is wrong with the journals of a database, each in a line; empty: nothing. Design, section 8, promises 1, 5 and 6. */
export async function journalFaults(database: TestDatabase): Promise<string[]> {
  const faults = await database.sql<{ fault: string }>(`
    select format('tenant %s: revision %s follows %s', tenant_id, revision, before) as fault
      from (select e.tenant_id, revision, coalesce(h.floor, 0) as floor,
                   lag(revision, 1, 0::bigint) over (partition by e.tenant_id order by revision) before
            from event e left join (select tenant_id, floor from journal_head) h using (tenant_id)) e
      where revision <> before + 1 and revision > floor
    union all
    select format('tenant %s: there is no event at the floor, %s', h.tenant_id, h.floor) from journal_head h
      where h.floor > 0 and not exists (select from event e where e.tenant_id = h.tenant_id and e.revision = h.floor)
    union all
    select format('tenant %s: the checkpoint of %s at revision %s is not below the floor, %s', c.tenant_id, c.id, c.revision, h.floor)
      from history_checkpoint c join journal_head h using (tenant_id) where c.revision >= h.floor
    union all
    select format('tenant %s: the events of %s up to version %s are said to be gone', c.tenant_id, c.id, c.version)
      from history_checkpoint c where c.removed and exists (select from event e
        where e.tenant_id = c.tenant_id and e.kind = c.kind and e.subject_id = c.id and e.version <= c.version)
    union all
    select format('tenant %s: recorded time goes back at revision %s', tenant_id, revision)
      from (select tenant_id, revision, recorded_at,
                   lag(recorded_at) over (partition by tenant_id order by revision) before from event) e
      where recorded_at < before
    union all
    select format('tenant %s: version %s of %s follows %s', tenant_id, version, subject_id, before)
      from (select e.tenant_id, subject_id, e.version, lag(e.version, 1, coalesce(c.version, 0))
                     over (partition by e.tenant_id, e.kind, subject_id order by e.revision) before
            from event e left join history_checkpoint c
              on c.tenant_id = e.tenant_id and c.kind = e.kind and c.id = e.subject_id
            where e.version > coalesce(c.version, 0)) e where version <> before + 1
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
      where (e.subject_id is distinct from s.id or e.version is distinct from s.version
         or e.event_id is distinct from s.changed_event_id)
        and not exists (select from history_checkpoint c where c.tenant_id = s.tenant_id and c.kind = s.kind and c.id = s.id
          and c.version = s.version and c.revision = s.changed_revision)
    union all
    select format('tenant %s: %s has events and no row', e.tenant_id, e.subject_id)
      from (select distinct tenant_id, kind, subject_id from event where kind <> 3) e
      left join subject s on s.tenant_id = e.tenant_id and s.kind = e.kind and s.id = e.subject_id
      where s.id is null`);
  return [...faults.map((row) => row.fault), ...(await foldFaults(database))];
}
