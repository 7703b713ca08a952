import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { freePort } from "../../src/store/embedded-process.ts";
import { unpackDebian } from "../support/debian.ts";
import { end, whenUp } from "../support/process.ts";
import { CallConnection, credential } from "./calls.ts";
import { cache } from "./service.ts";

export const ETCD_WATCH_PATH = "/etcdserverpb.Watch/Watch";
export const ETCD_PUT_PATH = "/etcdserverpb.KV/Put";
/** `events` of a WatchResponse. */
export const ETCD_EVENTS_FIELD = 11;
const KEY = Buffer.from("order");

/** One etcd of a bench's own, as Debian ships it, on 127.0.0.1. */
export interface Etcd extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

/** Throws an `Error` that says what to install where there is no etcd. */
export async function startEtcd(): Promise<Etcd> {
  const program = await findEtcd();
  const folder = mkdtempSync(join(cache, "etcd-"));
  const [port, peer] = [await freePort(), await freePort()];
  const client = `http://127.0.0.1:${port}`;
  const peers = `http://127.0.0.1:${peer}`;
  const args = ["--data-dir", join(folder, "data"), "--log-level", "error", "--name", "bench"];
  args.push("--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peers);
  args.push("--initial-advertise-peer-urls", peers, "--initial-cluster", `bench=${peers}`);
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const words = text(child.stderr);
  child.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  try {
    await whenUp(
      child,
      () => answers(port),
      () => "it ended",
    );
  } catch (error) {
    await end(child, "SIGKILL");
    throw new Error(`${(error as Error).message}: ${(await words).trim().split("\n").at(-1)}`);
  }
  return { port, pid: child.pid ?? -1, [Symbol.asyncDispose]: () => end(child, "SIGKILL") };
}

/** PutRequest: a key, and a value of so many bytes. */
export function encodePut(valueBytes: number): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .bytes(KEY)
    .tag(2, WireType.LengthDelimited)
    .bytes(Buffer.alloc(valueBytes, 0x78))
    .finish();
}

/** WatchRequest: create a watch of the key. */
export function encodeEtcdWatch(): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.LengthDelimited)
    .bytes(KEY)
    .join()
    .finish();
}

/** It takes a while to elect itself. */
async function answers(port: number): Promise<true | undefined> {
  try {
    const calls = await CallConnection.open(port, ETCD_PUT_PATH);
    const ok = await new Promise<boolean>((resolve) => {
      const patience = setTimeout(() => resolve(false), 3_000);
      calls.start(encodePut(1), credential(""), (good) => {
        clearTimeout(patience);
        resolve(good);
      });
    });
    calls.close();
    return ok || undefined;
  } catch {
    return undefined;
  }
}

async function findEtcd(): Promise<string> {
  const installed = ["/usr/bin/etcd", "/usr/local/bin/etcd"].find((path) => existsSync(path));
  if (installed) return installed;
  try {
    return join(await unpackDebian("etcd-server", ["etcd-server"]), "usr/bin/etcd");
  } catch (error) {
    throw new Error(`no etcd: install etcd-server (${(error as Error).message})`);
  }
}
