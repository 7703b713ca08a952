/**
 * The revision in a position (`<revision>-<id>`); undefined for the opaque positions that outside carriers get, which
 * cannot be compared.
 */
function revisionOf(position: string | undefined): bigint | undefined {
  const match = position === undefined ? null : /^([0-9]{1,20})-/.exec(position);
  return match?.[1] === undefined ? undefined : BigInt(match[1]);
}

/** Whether what stands at `position` was delivered when everything up to `reached` was. */
export function isDelivered(position: string, reached: string | undefined): boolean {
  if (reached === undefined) return false;
  if (position === reached) return true;
  const at = revisionOf(position);
  const upTo = revisionOf(reached);
  return at !== undefined && upTo !== undefined && at <= upTo;
}
