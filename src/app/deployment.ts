/** What all instances on one database share: the secret that signs tokens, and the service owner's credential. */
import type { MikroORM } from "@mikro-orm/postgresql";
import { drawKey, hashOf, sameHash } from "../service/api-key.ts";
import { DeploymentEntity } from "../store/entities.ts";
import { drawId } from "../wire/draw-id.ts";
import { ExitCode, StartError } from "./start-error.ts";

const secretName = "secret";
const ownerName = "service_owner_sha256";

/** The deployment's secret, made by the first migration: 32 bytes. */
export async function readSecret(orm: MikroORM): Promise<Uint8Array> {
  const row = await orm.em.fork().findOne(DeploymentEntity, { name: secretName });
  if (row !== null) return row.value;
  throw new StartError(ExitCode.CONFIG, "the database has lost the deployment's secret: run `leadline migrate`");
}

/** The service owner's credential: its hash, and its text where it is known. */
export interface OwnerKey {
  readonly hash: Uint8Array;
  /** Its text, when it was configured, is remembered by the embedded default, or has been drawn by this very start. */
  readonly text: string | undefined;
  /** Whether this start has drawn it: it is shown this once. */
  readonly drawn: boolean;
}

/**
 * The service owner's credential. A configured one stands above the one that was drawn, for as long as it is configured.
 * Otherwise the first instance that starts draws it and keeps its hash in the database.
 *
 * @param remembered its text as the embedded default's file has it; undefined: no such file. Where it does not fit the
 *   database, and `redraw` is set, a new one is drawn and replaces the one that nobody knows any more.
 */
export async function ownerKey(
  orm: MikroORM,
  configured: string | undefined,
  remembered: string | undefined,
  redraw: boolean,
): Promise<OwnerKey> {
  if (configured !== undefined) return { hash: hashOf(configured), text: configured, drawn: false };
  const em = orm.em.fork();
  const kept = await em.findOne(DeploymentEntity, { name: ownerName });
  if (kept !== null) {
    if (remembered !== undefined && sameHash(hashOf(remembered), kept.value)) {
      return { hash: kept.value, text: remembered, drawn: false };
    }
    if (!redraw) return { hash: kept.value, text: undefined, drawn: false };
  }
  const { text, hash } = drawKey("service", drawId("key"));
  const onConflict = redraw ? "update set value = excluded.value" : "nothing";
  const written = await em.execute<unknown[]>(
    `insert into deployment (name, value) values (?, ?) on conflict (name) do ${onConflict} returning name`,
    [ownerName, hash],
  );
  // Another instance was first: its credential stands.
  if (written.length === 0) return ownerKey(orm, configured, remembered, redraw);
  return { hash, text, drawn: true };
}
