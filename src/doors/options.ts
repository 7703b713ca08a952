/** Bounds that both doors share. Times are in milliseconds, sizes in bytes. */
export interface DoorBounds {
  /** The address to listen on. Default 127.0.0.1. */
  readonly host: string;
  /** The port; 0: any free one. */
  readonly port: number;
  /** Certificate chain and private key, PEM. Absent: cleartext. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** The largest request message that is taken, after decompression. Default 4 MiB, as gRPC has it. */
  readonly maxMessageBytes: number;
  /** Connections at a time; more are closed at once. Default 20,000. */
  readonly maxConnections: number;
  /** Streams at a time on one HTTP/2 connection. Default 1,000. */
  readonly maxConcurrentStreams: number;
  /** A connection that has sent nothing for so long after it opened is closed. Default 10 s. */
  readonly firstByteTimeoutMs: number;
  /** A request must have arrived whole in this time. Default 20 s. */
  readonly requestTimeoutMs: number;
  /** HTTP/2 connections are pinged this often. Default 25 s. */
  readonly pingIntervalMs: number;
  /** A connection that has not answered a ping for so long is destroyed. Default 20 s. */
  readonly pingTimeoutMs: number;
  /** A watch that was ended is reset when its reader has not taken the rest in this time. Default 10 s. */
  readonly endTimeoutMs: number;
}

const bounds: Omit<DoorBounds, "port"> = {
  host: "127.0.0.1",
  tls: undefined,
  maxMessageBytes: 4 * 1024 * 1024,
  maxConnections: 20_000,
  maxConcurrentStreams: 1_000,
  firstByteTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 20_000,
  endTimeoutMs: 10_000,
};

/** Settings of the gRPC door. */
export interface GrpcDoorOptions extends DoorBounds {
  /** From so many unsent bytes on, a watch's stream wants no more until half of them are sent. Default 64 KiB. */
  readonly watchBufferBytes: number;
}

/** The gRPC door's defaults: port 50051. */
export const grpcDoorDefaults: GrpcDoorOptions = { ...bounds, port: 50_051, watchBufferBytes: 64 * 1024 };

/** Settings of the HTTP door. */
export interface HttpDoorOptions extends DoorBounds {
  /** The largest block of request headers. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** The origins whose pages may call, each as a browser sends it (`https://shop.example`). Default none. */
  readonly corsOrigins: readonly string[];
  /** How long a browser may keep the answer to a preflight. Default 2 hours, the most that Chromium takes. */
  readonly corsMaxAgeMs: number;
  /** An HTTP/1.1 connection's headers must have arrived in this time. Default 10 s. */
  readonly headersTimeoutMs: number;
  /** An idle HTTP/1.1 connection is closed after this time. Default 75 s, above the usual 60 s of balancers. */
  readonly keepAliveTimeoutMs: number;
  /** Unary answers from this size are compressed for callers that take gzip. Default 16 KiB. */
  readonly compressFromBytes: number;
  /** When set, `/metrics` is answered only to `authorization: Bearer <this>`. Default undefined: to anybody. */
  readonly metricsToken: string | undefined;
}

/** The HTTP door's defaults: port 8080. */
export const httpDoorDefaults: HttpDoorOptions = {
  ...bounds,
  port: 8_080,
  maxHeaderBytes: 16 * 1024,
  corsOrigins: [],
  corsMaxAgeMs: 7_200_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 75_000,
  compressFromBytes: 16 * 1024,
  metricsToken: undefined,
};
