import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { type Connection, ConnectionLost, sqlState } from "../store/connection.ts";
import type { Answer, Statement } from "../store/flight.ts";
import { Fields, type Question } from "../store/question.ts";
import { BEGIN, COMMIT, ROLLBACK, scopeTo } from "./sql.ts";

/** One question in a transaction that sees these tenants only. A broken connection is tried once more: reads may be. */
export async function scoped<T>(
  connection: Connection,
  tenants: readonly string[],
  { name, text, values, row }: Question<T>,
): Promise<T[]> {
  const answer = await scopedStatement(connection, tenants, () => ({ name, text, values }));
  return (answer?.rows ?? []).map((columns) => row(new Fields(columns)));
}

/** The same with any statement. @param statement made for each try */
export async function scopedStatement(
  connection: Connection,
  tenants: readonly string[],
  statement: () => Statement,
): Promise<Answer | undefined> {
  const fly = () => connection.flight([BEGIN, scopeTo(tenants), statement(), COMMIT]);
  try {
    const answers = await fly().catch((error: unknown) => {
      if (error instanceof ConnectionLost) return fly();
      throw error;
    });
    return answers[2];
  } catch (error) {
    if (error instanceof ConnectionLost) throw unavailable(error);
    await connection.flight([ROLLBACK]).catch(() => connection.discard());
    throw PASSING.test(sqlState(error) ?? "") ? unavailable(error) : error;
  }
}

/** SQLSTATEs that say nothing of the question: it was in another's way, resources are short, or its time was over. */
const PASSING = /^(40|53|57|55P03)/;

function unavailable(cause: unknown): Refusal {
  return new Refusal(ErrorReason.DATABASE_UNAVAILABLE, "the database cannot be asked at present", { cause });
}
