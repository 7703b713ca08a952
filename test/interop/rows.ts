import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { KeyParty } from "../support/app.ts";

/** Who calls: a key of the tenant, a link to its order "PO-1", or the service owner. */
export type Party = KeyParty | "link" | "service owner";

/** What was answered so far; later requests take ids and page tokens from it. */
export interface Answers {
  /** The newest answer of a method. Throws when there is none. */
  of<O extends DescMessage>(method: DescMethodUnary<DescMessage, O>): MessageShape<O>;
}

/** A valid request, and a part of what is answered. */
export interface Row {
  readonly method: DescMethodUnary;
  readonly as: Party;
  request(answers: Answers): MessageInitShape<DescMessage>;
  readonly says: object;
}

/** One row: the method, who calls it, with what, and a part of the answer. */
export function row<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  as: Party,
  request: MessageInitShape<I> | ((answers: Answers) => MessageInitShape<I>),
  says: object,
): Row {
  return {
    method,
    as,
    request: (answers) => (typeof request === "function" ? request(answers) : request),
    says,
  };
}
