/** A process of hostile peers: so many sockets that do what their kind does, until they are told to stop. */
import { connect, type Socket } from "node:net";
import { answer } from "./child.ts";
import { type Attack, type Door, kinds } from "./hostile-kinds.ts";

export interface Peers {
  readonly kind: string;
  /** On each door. */
  readonly ports: Readonly<Record<Door, number>>;
  readonly each: number;
  /** Milliseconds between two beats of a peer. */
  readonly beatMs: number;
  readonly key: string;
}

export interface Met {
  /** Connections that the server closed. */
  readonly closed: number;
  readonly open: number;
  /** Connections that came about. */
  readonly connected: Readonly<Record<Door, number>>;
  readonly sentBytes: Readonly<Record<Door, number>>;
}

export type PeerQuestions = { start: { asked: Peers; answered: null }; stop: { asked: null; answered: Met } };

/** A peer that was closed comes back after so long. */
const PAUSE_MS = 1_000;
/** What a peer has not got rid of: it waits with more. */
const UNSENT_MAX = 256 * 1024;

const noneMet = () => ({ closed: 0, connected: { grpc: 0, http: 0 }, sentBytes: { grpc: 0, http: 0 } });
let met = noneMet();
const peers = new Set<{ stop(): void; open(): boolean }>();

function startPeer(door: Door, port: number, attack: Attack, beatMs: number): void {
  let socket: Socket | undefined;
  let n = 0;
  let back: NodeJS.Timeout | undefined;
  const send = (bytes: Buffer) => {
    if (bytes.length === 0 || !socket?.writable || socket.writableLength > UNSENT_MAX) return;
    met.sentBytes[door] += bytes.length;
    socket.write(bytes);
  };
  const open = () => {
    n = 0;
    socket = connect({ host: "127.0.0.1", port, noDelay: true });
    socket
      .on("error", () => undefined)
      .once("close", () => {
        met.closed += 1;
        back = setTimeout(open, PAUSE_MS);
      });
    if (!attack.deaf) socket.resume();
    socket.once("connect", () => {
      met.connected[door] += 1;
      send(attack.opening);
    });
  };
  // Peers do not beat together.
  const first = setTimeout(open, Math.random() * beatMs);
  const timer = setInterval(() => {
    if (socket?.readyState === "open") send(attack.beat(n++));
  }, beatMs);
  peers.add({
    open: () => socket?.readyState === "open",
    stop() {
      for (const one of [first, back]) clearTimeout(one);
      clearInterval(timer);
      socket?.removeAllListeners("close").destroy();
    },
  });
}

answer<PeerQuestions>({
  start: ({ kind, ports, each, beatMs, key }) => {
    const make = kinds[kind];
    if (!make) throw new Error(`no hostile kind ${kind}`);
    for (const door of ["grpc", "http"] as const) {
      for (let i = 0; i < each; i++) startPeer(door, ports[door], make(door, key), beatMs);
    }
    return null;
  },
  stop: () => {
    const open = [...peers].filter((peer) => peer.open()).length;
    for (const peer of peers) peer.stop();
    peers.clear();
    const told = { ...met, open };
    met = noneMet();
    return told;
  },
});
