/** The credential in an authorization header: what follows `Bearer `; undefined when there is none of that kind. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)\s*$/i.exec(authorization ?? "")?.[1];
}
