import { SubjectKind } from "./subject.ts";

/** What stands after a tenant's id in the key of its audit journal. */
const AUDIT = ".audit";

/** The key of a tenant's audit journal, where a journal's key is its tenant's id otherwise: ids contain no point. */
export function auditJournal(tenant: string): string {
  return `${tenant}${AUDIT}`;
}

/** The tenant whose journal this is, of its audit journal too. */
export function tenantOfJournal(journal: string): string {
  return journal.endsWith(AUDIT) ? journal.slice(0, -AUDIT.length) : journal;
}

/** The key of the journal in which a tenant has its events of this kind. */
export function journalOf(tenant: string, kind: SubjectKind): string {
  return kind === SubjectKind.ADMINISTRATION ? auditJournal(tenant) : tenant;
}
