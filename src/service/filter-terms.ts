import type { DescField, DescMethod, Message } from "@bufbuild/protobuf";

/** The fields of a method's filter that are lists, if it has a filter. */
interface FilterShape {
  readonly name: string;
  readonly lists: readonly DescField[];
}

const shapes = new WeakMap<DescMethod, FilterShape | "none">();

/** How many values the filter of a request has, of all its fields together; 0: none, or the method takes no filter. */
export function filterTerms(method: DescMethod, request: Message): number {
  let shape = shapes.get(method);
  if (shape === undefined) {
    shape = shapeOf(method);
    shapes.set(method, shape);
  }
  if (shape === "none") return 0;
  // Generated messages have their fields as properties.
  const filter = (request as unknown as Readonly<Record<string, unknown>>)[shape.name];
  if (typeof filter !== "object" || filter === null) return 0;
  let terms = 0;
  for (const { localName } of shape.lists) {
    const values = (filter as Readonly<Record<string, unknown>>)[localName];
    if (Array.isArray(values)) terms += values.length;
  }
  return terms;
}

function shapeOf({ input }: DescMethod): FilterShape | "none" {
  const filter = input.fields.find(({ name, message }) => name === "filter" && message !== undefined);
  const lists = filter?.message?.fields.filter(({ fieldKind }) => fieldKind === "list");
  return filter && lists ? { name: filter.localName, lists } : "none";
}
