import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type handleUnaryCall, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import {
  OrderService,
  type WatchOrdersRequest,
  type WatchOrdersResponse,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";

const { watchOrders } = OrderService.method;
const { getTenant } = TenantService.method;
const { importItems } = ImportService.method;

export type WatchCall = ServerWritableStream<WatchOrdersRequest, WatchOrdersResponse>;
export type GetTenantCall = handleUnaryCall<
  MessageShape<typeof getTenant.input>,
  MessageShape<typeof getTenant.output>
>;
export type ImportItemsCall = handleUnaryCall<
  MessageShape<typeof importItems.input>,
  MessageShape<typeof importItems.output>
>;

interface Answers {
  readonly getTenant?: GetTenantCall;
  readonly importItems?: ImportItemsCall;
  readonly watchOrders?: (call: WatchCall) => void;
}

/** A gRPC server whose three methods a test answers by hand. */
export class GrpcServer {
  readonly #server = new Server();
  port = 0;

  constructor(answers: Answers) {
    const pass: GetTenantCall = (_call, reply) => reply(null, { $typeName: "leadline.v1.GetTenantResponse" });
    this.#server.addService({ getTenant: definition(getTenant) }, { getTenant: answers.getTenant ?? pass });
    const take: ImportItemsCall = (_call, reply) =>
      reply(null, { $typeName: "leadline.v1.ImportItemsResponse", results: [] });
    this.#server.addService({ importItems: definition(importItems) }, { importItems: answers.importItems ?? take });
    this.#server.addService(
      { watchOrders: definition(watchOrders) },
      { watchOrders: answers.watchOrders ?? ((call: WatchCall) => call.end()) },
    );
  }

  /** @returns the address */
  async listen(port = 0): Promise<string> {
    this.port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return `127.0.0.1:${this.port}`;
  }

  /** Cuts every connection. */
  cut(): void {
    this.#server.forceShutdown();
  }
}

function definition<I extends DescMessage, O extends DescMessage>(method: DescMethod & { input: I; output: O }) {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: (value: MessageShape<I>) => Buffer.from(toBinary(method.input, value)),
    requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
    responseSerialize: (value: MessageShape<O>) => Buffer.from(toBinary(method.output, value)),
    responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
  };
}
