/** Postgres refuses to run as root: this finds somebody else to run it as, without changing the system's users. */
import { spawnSync } from "node:child_process";
import { chmodSync, lchownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** The user and group that own nothing. Postgres looks its user up, so an arbitrary free number would not do. */
export const nobody = 65534;

/** How programs that refuse root are started here. */
export interface Runner {
  /** `self`: as we are. `nobody`: by giving up root. `namespace`: as a root that a user namespace has made powerless. */
  readonly kind: "self" | "nobody" | "namespace";
  /** The command line that runs `program` with `args`, for `spawn` together with `identity`. */
  command(program: string, args: readonly string[]): [program: string, args: string[]];
  /** Options of `spawn`. */
  readonly identity: { uid?: number; gid?: number };
  /** Gives a file or a folder with all that is in it to the user whom `command` runs as. Does nothing if it has it. */
  own(path: string): void;
}

/**
 * Chooses how to run programs that live in `programs` and keep their files in `directory` (which must exist). Only root has
 * a choice: `nobody` where that user can reach both (`directory` itself is opened for passing through, not for listing), else
 * a user namespace, which reaches what root's files allow their owner.
 *
 * Throws an `Error` of one line that says what to change where neither works.
 */
export function chooseRunner(directory: string, programs: string): Runner {
  if (process.getuid?.() !== 0) return { kind: "self", command: plain, identity: {}, own: () => {} };
  chmodSync(directory, statSync(directory).mode | 0o011);
  const barrier = [directory, programs].map(firstBarrier).find((path) => path !== undefined);
  if (barrier === undefined && mayChown(directory)) {
    return {
      kind: "nobody",
      command: plain,
      identity: { uid: nobody, gid: nobody },
      own: (path) => give(path, nobody),
    };
  }
  if (spawnSync("unshare", ["-U", "true"], { stdio: "ignore" }).status === 0) {
    const command = (program: string, args: readonly string[]): [string, string[]] => [
      "unshare",
      ["-U", program, ...args],
    ];
    return { kind: "namespace", command, identity: {}, own: (path) => give(path, 0) };
  }
  throw new Error(
    barrier === undefined
      ? "Postgres does not run as root, and this system lets root neither change owners nor make user namespaces: run as another user."
      : `Postgres does not run as root, and the user "nobody" cannot enter ${barrier}: use a data directory (and an installation) outside it, or run as another user.`,
  );
}

function plain(program: string, args: readonly string[]): [string, string[]] {
  return [program, [...args]];
}

/** The first folder on the way to `path`, or `path` itself, that "nobody" may not pass; undefined if the way is free. */
function firstBarrier(path: string): string | undefined {
  const parent = dirname(path);
  const above = parent === path ? undefined : firstBarrier(parent);
  if (above !== undefined) return above;
  const { mode, uid, gid } = statSync(path);
  const bit = uid === nobody ? 0o100 : gid === nobody ? 0o010 : 0o001;
  return mode & bit ? undefined : path;
}

/** Containers may run a root without the capability to change owners. */
function mayChown(directory: string): boolean {
  const { uid, gid } = statSync(directory);
  try {
    lchownSync(directory, nobody, nobody);
    lchownSync(directory, uid, gid);
    return true;
  } catch {
    return false;
  }
}

function give(path: string, owner: number): void {
  const stat = lstatSync(path);
  if (stat.uid === owner) return;
  // The folder itself comes last: if this is interrupted, the next start sees that it is not finished.
  if (stat.isDirectory()) for (const name of readdirSync(path)) give(join(path, name), owner);
  lchownSync(path, owner, owner);
}
