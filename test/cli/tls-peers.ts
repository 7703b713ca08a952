import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { testCertificate } from "../doors/certificate.ts";

/** The settings that name a certificate and its key. */
export interface TlsFiles {
  readonly LEADLINE_TLS_CERTIFICATE: string;
  readonly LEADLINE_TLS_KEY: string;
}

/** Writes the files of the tests' certificate; the stack removes them. */
export function writeTls(stack: AsyncDisposableStack): TlsFiles {
  const folder = mkdtempSync(join(tmpdir(), "leadline-secrets-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [certificate, key] = [join(folder, "certificate.pem"), join(folder, "key.pem")];
  writeFileSync(certificate, testCertificate.cert);
  writeFileSync(key, testCertificate.key);
  return { LEADLINE_TLS_CERTIFICATE: certificate, LEADLINE_TLS_KEY: key };
}

/* Peers of a port that speaks TLS, with whom it comes to nothing. Each says what it was told. */

/** Breaks the handshake off: nobody that it trusts has signed for the certificate. */
export function refusedByPeer(port: number): Promise<string> {
  return broken({ port });
}

/** Speaks what is too old to be spoken. */
export function refusedAsOld(port: number): Promise<string> {
  return broken({ port, minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" });
}

/** Speaks HTTP/1.1 as it is. */
export async function withoutTls(port: number): Promise<Buffer> {
  const socket = connectTcp(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {});
  socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks);
}

async function broken(options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", servername: "localhost", ...options });
  const [error] = (await once(socket, "error")) as [Error];
  socket.destroy();
  return String(error);
}
