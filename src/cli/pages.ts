/** Every item of a list, page after page. */
export async function allPages<P extends { readonly nextPageToken: string }, T>(
  read: (pageToken: string) => Promise<P>,
  items: (page: P) => readonly T[],
): Promise<T[]> {
  const all: T[] = [];
  let token = "";
  do {
    const page = await read(token);
    all.push(...items(page));
    token = page.nextPageToken;
  } while (token !== "");
  return all;
}
