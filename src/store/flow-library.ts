import { fromBinary } from "@bufbuild/protobuf";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { STANDARD_FLOW } from "../domain/standard-flow.ts";
import { type FlowRef, type StatusFlow, statusFlow } from "../domain/status-flow.ts";
import type { Flows } from "../domain/subject.ts";

/** Flows kept in memory. A published version never changes, so what is kept is never stale. */
const FLOWS_KEPT = 2_000;

/** A published version as it is stored. */
export interface StoredFlow {
  readonly ref: FlowRef;
  /** Encoding of FlowDefinition. */
  readonly definition: Uint8Array;
}

/** Reads published versions of a tenant's flows; those that do not exist are left out. */
export type ReadFlows = (tenant: string, refs: readonly FlowRef[]) => Promise<readonly StoredFlow[]>;

/** A decision or a fold came upon a flow that has to be fetched first. */
export class FlowMissing extends Error {
  readonly ref: FlowRef;

  constructor(tenant: string, ref: FlowRef) {
    super(`flow ${ref.id}, version ${ref.version}, of ${tenant} was not fetched`);
    this.ref = ref;
  }
}

/**
 * The published versions of all tenants' flows, as far as they were asked for. Decisions and folds are pure and cannot wait:
 * one that comes upon a flow that is not here ends with FlowMissing, and is done again once the flow was fetched.
 */
export class FlowLibrary {
  readonly #read: ReadFlows;
  readonly #flows = new Map<string, StatusFlow>();

  constructor(read: ReadFlows) {
    this.#read = read;
  }

  /** The flows of a tenant, for a decision or a fold. Throws FlowMissing for one that was not fetched. */
  of(tenant: string): Flows {
    return (ref) => {
      const flow = this.#known(tenant, ref);
      if (flow === undefined) throw new FlowMissing(tenant, ref);
      return flow;
    };
  }

  /** Whether a flow has to be fetched before a decision. */
  isMissing(tenant: string, ref: FlowRef): boolean {
    return this.#known(tenant, ref) === undefined;
  }

  /** Fetches flows of a tenant. One that does not exist is left out: it stays missing. */
  async fetch(tenant: string, refs: readonly FlowRef[]): Promise<void> {
    const wanted = refs.filter((ref) => this.isMissing(tenant, ref));
    if (wanted.length === 0) return;
    for (const flow of await this.#read(tenant, wanted)) this.keep(tenant, flow);
  }

  /** One flow, fetched if need be; undefined: there is none. */
  async find(tenant: string, ref: FlowRef): Promise<StatusFlow | undefined> {
    await this.fetch(tenant, [ref]);
    return this.#known(tenant, ref);
  }

  /** Takes in what was read. The oldest goes when there are too many: it is fetched again when it is needed. */
  keep(tenant: string, { ref, definition }: StoredFlow): void {
    this.#flows.set(keyOf(tenant, ref), statusFlow(ref, fromBinary(FlowDefinitionSchema, definition)));
    if (this.#flows.size <= FLOWS_KEPT) return;
    const [oldest] = this.#flows.keys();
    if (oldest !== undefined) this.#flows.delete(oldest);
  }

  #known(tenant: string, ref: FlowRef): StatusFlow | undefined {
    return ref.id === "" ? STANDARD_FLOW : this.#flows.get(keyOf(tenant, ref));
  }
}

function keyOf(tenant: string, { id, version }: FlowRef): string {
  return `${tenant} ${id} ${version}`;
}
