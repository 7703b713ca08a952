import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

export function draining(): Refusal {
  return new Refusal(ErrorReason.DRAINING, "this instance is stopping; send the call to another one");
}

export function unavailable(cause: unknown): Refusal {
  return new Refusal(
    ErrorReason.DATABASE_UNAVAILABLE,
    "the database cannot be asked at present, and whether the change was made is not known; repeat it with the same request id",
    { cause },
  );
}
