import type { DescMessage, DescMethod } from "@bufbuild/protobuf";
import { fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type handleUnaryCall, Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import {
  OrderService,
  type WatchOrdersRequest,
  type WatchOrdersResponse,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";

const { watchOrders } = OrderService.method;
const { getTenant } = TenantService.method;

export type WatchCall = ServerWritableStream<WatchOrdersRequest, WatchOrdersResponse>;
export type GetTenantCall = handleUnaryCall<
  MessageShape<typeof getTenant.input>,
  MessageShape<typeof getTenant.output>
>;

/** A gRPC server whose two methods a test answers by hand. */
export class GrpcServer {
  readonly #server = new Server();
  port = 0;

  constructor(answers: { readonly getTenant?: GetTenantCall; readonly watchOrders?: (call: WatchCall) => void }) {
    const pass: GetTenantCall = (_call, reply) => reply(null, { $typeName: "leadline.v1.GetTenantResponse" });
    this.#server.addService({ getTenant: definition(getTenant) }, { getTenant: answers.getTenant ?? pass });
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
