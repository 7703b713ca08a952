/** The subject of one tenant's hints: `leadline.<deployment>.ext.<tenant>`. Different tenants have different subjects. */
export function tenantSubject(deployment: string, tenant: string): string {
  return `${prefix(deployment)}.ext.${token(tenant)}`;
}

/** The subject on which the end of a credential is told: `leadline.<deployment>.revoked`. */
export function revocationSubject(deployment: string): string {
  return `${prefix(deployment)}.revoked`;
}

/** The subject on which it is told that a tenant's terms have changed: `leadline.<deployment>.tenant`. */
export function changedTenantSubject(deployment: string): string {
  return `${prefix(deployment)}.tenant`;
}

/** The login of the first URL that carries one, which the client takes apart from the URLs: user and password, or a token. */
export function loginIn(servers: readonly string[]): { user?: string; pass?: string; token?: string } {
  for (const server of servers) {
    const { username, password } = new URL(server.includes("://") ? server : `nats://${server}`);
    if (username === "") continue;
    const user = decodeURIComponent(username);
    return password === "" ? { token: user } : { user, pass: decodeURIComponent(password) };
  }
  return {};
}

function prefix(deployment: string): string {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(deployment)) {
    throw new RangeError(`deployment "${deployment}": 1 to 64 letters, digits, "-" and "_" are accepted`);
  }
  return `leadline.${deployment}`;
}

/** One token of a subject: letters, digits, `-` and `_` stand for themselves, every other byte is `=` and its hex. */
function token(text: string): string {
  return [...Buffer.from(text, "utf8")]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(character) ? character : `=${byte.toString(16).padStart(2, "0")}`;
    })
    .join("");
}
