import type { CodeList } from "../../gen/leadline/v1/status_flow_pb.ts";

/** What a code of a partner's list means. */
export interface CodeMeaning {
  /** The transport milestone, see milestone-kinds.ts; empty: the code is known and moves nothing. */
  readonly milestone: string;
  /** Something went wrong. */
  readonly exception: boolean;
}

/** A code that a carrier used. */
export interface ListedBy {
  readonly list: CodeList;
  readonly code: string;
  readonly carrier: string;
}

/** What a tenant itself says that a code means; undefined: nothing, so what ships with the service holds. */
export type OwnMeanings = (of: ListedBy) => CodeMeaning | undefined;

/** The meanings of a tenant that has none of its own. */
export const nothingOwn: OwnMeanings = () => undefined;
