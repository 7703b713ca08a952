import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import type { UnaryMethods } from "../client/grpc-calls.ts";
import { type ConnectionOptions, connect } from "./connection.ts";
import type { Terminal } from "./terminal.ts";

/** What a command about flows works with. */
export interface Flows {
  readonly calls: UnaryMethods<typeof StatusFlowService>;
  readonly json: boolean;
  readonly terminal: Terminal;
}

/** Connects for the work, and lets go after it. */
export async function withFlows(
  options: ConnectionOptions,
  terminal: Terminal,
  work: (flows: Flows) => Promise<void>,
): Promise<void> {
  const client = connect(options, terminal.env);
  try {
    await work({ calls: client.service(StatusFlowService), json: options.json === true, terminal });
  } finally {
    client.close();
  }
}
