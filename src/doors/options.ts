/** What a door shows of itself over TLS, and asks of its clients. PEM. */
export interface DoorTls {
  /** Certificate chain. */
  readonly cert: string;
  readonly key: string;
  /** The authorities whose certificates clients must show. Absent: they need none. */
  readonly clientCa?: string | undefined;
}

/** Bounds that both doors share. Times are in milliseconds, sizes in bytes. */
export interface DoorBounds {
  /** The address to listen on. Default 127.0.0.1. */
  readonly host: string;
  /** The port; 0: any free one. */
  readonly port: number;
  /** Absent: cleartext. */
  readonly tls: DoorTls | undefined;
  /** The largest request message that is taken, after decompression. Default 4 MiB, as gRPC has it. */
  readonly maxMessageBytes: number;
  /** Bytes of requests that are held at a time, whole or not; the one above it is refused. Default 512 MiB. */
  readonly maxRequestBytes: number;
  /** The same of one address (IPv6: one /64 network). Default 256 MiB. */
  readonly maxAddressRequestBytes: number;
  /** Calls without a credential (health, reflection, pages) of one address in a second; more are refused. Default 100. */
  readonly addressAnonymousCallsPerSecond: number;
  /** Streams of health and reflection that one connection may have open. Default 10. */
  readonly anonymousStreams: number;
  /** Compressed requests that are unpacked at a time; the others wait in line. Default 1. */
  readonly maxUnpacking: number;
  /** The largest block of request headers. Default 16 KiB. */
  readonly maxHeaderBytes: number;
  /** Connections at a time; more are closed at once. Default 20,000. */
  readonly maxConnections: number;
  /** Connections at a time from one address (IPv6: one /64 network); more are closed at once. Default 10,000. */
  readonly maxAddressConnections: number;
  /** Connections of one address (IPv6: one /64 network) in a second; more are closed at once. Default 1,000. */
  readonly addressConnectsPerSecond: number;
  /** Streams at a time on one HTTP/2 connection. Default 1,000. */
  readonly maxConcurrentStreams: number;
  /** What one HTTP/2 connection may hold, in megabytes: above it new streams are refused. Default 256. */
  readonly sessionMemoryMb: number;
  /** Streams that the peer of an HTTP/2 connection may reset at once, before the rate counts. Default 1,000. */
  readonly resetBurst: number;
  /** Streams that it may reset in a second; above it the connection is closed (CVE-2023-44487). Default 33. */
  readonly resetsPerSecond: number;
  /** Calls of one connection that may be refused, or taken back at once, before the rate counts. Default 1,000. */
  readonly refusedBurst: number;
  /** Such calls in a second; above it the connection is closed, unless one call in five is good. Default 33. */
  readonly refusedPerSecond: number;
  /** Such calls of one address in a second; above it a connection of its is closed after a hundredth of the burst. Default 500. */
  readonly addressRefusedPerSecond: number;
  /** Calls of one connection that begin in one turn of the event loop; the others have theirs in the next. Default 64. */
  readonly callsInATurn: number;
  /** From so many unsent bytes of answers on, no more calls of a connection begin until some are taken. Default 4 MiB. */
  readonly maxUnsentBytes: number;
  /** A connection that has not said in this time after it opened what it speaks is closed. Default 10 s. */
  readonly firstByteTimeoutMs: number;
  /** A request must have arrived whole in this time. Default 20 s. */
  readonly requestTimeoutMs: number;
  /** HTTP/2 connections are pinged this often. Default 25 s. */
  readonly pingIntervalMs: number;
  /** A connection that has not answered a ping for so long is destroyed. Default 20 s. */
  readonly pingTimeoutMs: number;
  /** An answer must have been taken whole in this time; else its stream, or its HTTP/1.1 connection, is reset. Default 60 s. */
  readonly answerTimeoutMs: number;
  /** A watch that was ended is reset when its reader has not taken the rest in this time. Default 10 s. */
  readonly endTimeoutMs: number;
}

const bounds: Omit<DoorBounds, "port"> = {
  host: "127.0.0.1",
  tls: undefined,
  maxMessageBytes: 4 * 1024 * 1024,
  maxRequestBytes: 512 * 1024 * 1024,
  maxAddressRequestBytes: 256 * 1024 * 1024,
  addressAnonymousCallsPerSecond: 100,
  anonymousStreams: 10,
  maxUnpacking: 1,
  maxHeaderBytes: 16 * 1024,
  maxConnections: 20_000,
  maxAddressConnections: 10_000,
  addressConnectsPerSecond: 1_000,
  maxConcurrentStreams: 1_000,
  sessionMemoryMb: 256,
  resetBurst: 1_000,
  resetsPerSecond: 33,
  refusedBurst: 1_000,
  refusedPerSecond: 33,
  addressRefusedPerSecond: 500,
  callsInATurn: 64,
  maxUnsentBytes: 4 * 1024 * 1024,
  firstByteTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  answerTimeoutMs: 60_000,
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
  corsOrigins: [],
  corsMaxAgeMs: 7_200_000,
  headersTimeoutMs: 10_000,
  keepAliveTimeoutMs: 75_000,
  compressFromBytes: 16 * 1024,
  metricsToken: undefined,
};
