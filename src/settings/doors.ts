/** Where the service listens, for whom, and how it stops. */
import { bytes, integer, KiB, MiB, milliseconds, minute } from "./kinds/numbers.ts";
import { origin } from "./kinds/urls.ts";
import { file, host, list } from "./kinds/words.ts";

export const doorSettings = {
  grpcHost: host("LEADLINE_GRPC_HOST", "127.0.0.1", {
    about: "Where the gRPC door listens. `0.0.0.0` or `::`: everywhere.",
  }),
  grpcPort: integer("LEADLINE_GRPC_PORT", 50_051, [0, 65_535], {
    about: "Its port. 0: any that is free.",
  }),
  httpHost: host("LEADLINE_HTTP_HOST", "127.0.0.1", {
    about: "Where the HTTP door listens: Connect, gRPC-Web, health, metrics.",
  }),
  httpPort: integer("LEADLINE_HTTP_PORT", 8_080, [0, 65_535], {
    about: "Its port. 0: any that is free.",
  }),
  tlsCertificate: file("LEADLINE_TLS_CERTIFICATE", {
    about: "PEM file with the certificate chain of both doors. Needs LEADLINE_TLS_KEY. Without: no TLS.",
  }),
  tlsKey: file("LEADLINE_TLS_KEY", { about: "PEM file with the certificate's private key." }),
  tlsClientCa: file("LEADLINE_TLS_CLIENT_CA", {
    about:
      "PEM file with the authorities whose certificates clients of both doors must show, beside their credential. Without: none.",
  }),
  allowedOrigins: list("LEADLINE_ALLOWED_ORIGINS", origin, {
    about: "The origins whose web pages may call the HTTP door. Separated by commas.",
  }),
  messageMaxBytes: bytes("LEADLINE_MESSAGE_MAX_BYTES", 4 * MiB, [64 * KiB, 64 * MiB], {
    about: "The largest message that is taken.",
  }),
  drainTimeoutMs: milliseconds("LEADLINE_DRAIN_TIMEOUT_MS", 10_000, [0, 10 * minute], {
    about: "How long calls in flight may take to finish when the service stops.",
  }),
} as const;
