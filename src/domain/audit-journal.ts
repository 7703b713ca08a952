import { SubjectKind } from "./subject.ts";

/** The key of a tenant's audit journal, where a journal's key is its tenant's id otherwise: ids contain no point. */
export function auditJournal(tenant: string): string {
  return `${tenant}.audit`;
}

/** The key of the journal in which a tenant has its events of this kind. */
export function journalOf(tenant: string, kind: SubjectKind): string {
  return kind === SubjectKind.ADMINISTRATION ? auditJournal(tenant) : tenant;
}
