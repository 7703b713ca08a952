import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { Caller, Reachable } from "../doors/callers.ts";
import { SERVICE_OWNER, startTestApp, type TestApp, type TestAppOptions, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import type { Answers, Party, Row } from "./rows.ts";

/** An instance on a database of its own, and everyone's clients to it. */
export interface InteropWorld extends Reachable, AsyncDisposable {
  readonly app: TestApp;
  readonly database: TestDatabase;
}

export async function openWorld(options: Omit<TestAppOptions, "database"> = {}): Promise<InteropWorld> {
  await using started = new AsyncDisposableStack();
  const database = started.use(await createTestDatabase());
  const app = started.use(await startTestApp({ ...options, database }));
  const owned = started.move();
  return {
    app,
    database,
    httpPort: app.httpPort,
    grpcPort: app.grpcPort,
    onClose: (close) => owned.defer(close),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Says who calls, for one tenant. The link leads to `order`, which must be there by its first use. */
export function credentials(tenant: TestTenant, order: string): (party: Party) => Promise<string> {
  let link: Promise<string> | undefined;
  return async (party) => {
    if (party === "service owner") return SERVICE_OWNER;
    if (party !== "link") return tenant.keys[party];
    link ??= tenant.link(order);
    return link;
  };
}

/** The answers so far. */
export class Answered implements Answers {
  readonly #newest = new Map<DescMethodUnary, MessageShape<DescMessage>>();

  set(method: DescMethodUnary, answer: MessageShape<DescMessage>): void {
    this.#newest.set(method, answer);
  }

  of<O extends DescMessage>(method: DescMethodUnary<DescMessage, O>): MessageShape<O> {
    const answer = this.#newest.get(method);
    if (answer === undefined) throw new Error(`${method.name} has not been answered yet`);
    // What is kept under a method is its answer.
    return answer as MessageShape<O>;
  }
}

/** Calls a row's method with its request. */
export async function callRow(
  caller: Caller,
  { method, as, request }: Row,
  bearerOf: (party: Party) => Promise<string>,
  answers: Answered,
): Promise<MessageShape<DescMessage>> {
  const message: MessageInitShape<DescMessage> = request(answers);
  const answer = await caller.unary(method, message, { bearer: await bearerOf(as) });
  answers.set(method, answer);
  return answer;
}
