import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { wrongUse } from "./cli-error.ts";

/** The bounds of one call: items and bytes. An item above the contract's own bound is not sent at all. */
export const chunkItems = 100;
const chunkBytes = 1024 * 1024;
const itemMaxBytes = 262_144;

/** One item of a file, ready to be sent, or why it cannot be. */
export interface FileItem {
  readonly file: string;
  /** Its place in the file, from 1. */
  readonly number: number;
  /** JSON, its numbers as the file has them. */
  readonly text: string;
  /** Set: it is refused without being sent. */
  readonly refused?: { readonly reason: string; readonly message: string };
}

/**
 * The items of a file: one JSON object, an array of them, or an object with an array `events`. `-` is standard input.
 * What is no object, or too large, becomes a refused item; a file that is no JSON at all is one refused item. Throws a
 * CliError when the file cannot be read.
 */
export function itemsOf(file: string): FileItem[] {
  const text = read(file);
  let content: unknown;
  try {
    // What is wrong with it is told of the file as it is.
    JSON.parse(text);
    content = JSON.parse(withNumbersMarked(text));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return [{ file, number: 1, text: "", refused: { reason: "MESSAGE_MALFORMED", message: `no JSON: ${message}` } }];
  }
  return listOf(content).map((value, index) => itemOf(file, index + 1, value));
}

function read(file: string): string {
  try {
    // Other systems begin a file with a byte order mark.
    return readFileSync(file === "-" ? process.stdin.fd : file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    throw wrongUse(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** What tells the numbers from other texts while they are texts: no file has it. */
const mark = randomUUID();

/** JSON with its numbers as marked texts: read as numbers, long ones would lose digits, and different ids would become one. */
function withNumbersMarked(json: string): string {
  return json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : `"${mark}${token}"`,
  );
}

/** JSON with the numbers as the file has them. */
function withNumbersUnmarked(json: string): string {
  return json.replaceAll(new RegExp(`"${mark}([^"]*)"`, "g"), "$1");
}

function listOf(content: unknown): readonly unknown[] {
  if (Array.isArray(content)) return content;
  if (typeof content === "object" && content !== null && "events" in content && Array.isArray(content.events)) {
    return content.events;
  }
  return [content];
}

function itemOf(file: string, number: number, value: unknown): FileItem {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { file, number, text: "", refused: { reason: "MESSAGE_MALFORMED", message: "is no JSON object" } };
  }
  let text: string;
  try {
    text = withNumbersUnmarked(JSON.stringify(value));
  } catch {
    // What was read is JSON; only its depth is too much for writing it.
    return { file, number, text: "", refused: { reason: "MESSAGE_MALFORMED", message: "is nested too deep" } };
  }
  const bytes = Buffer.byteLength(text);
  if (bytes > itemMaxBytes) {
    const message = `has ${bytes.toLocaleString("en")} bytes; ${itemMaxBytes.toLocaleString("en")} are taken`;
    return { file, number, text, refused: { reason: "MESSAGE_TOO_LARGE", message } };
  }
  return { file, number, text };
}

/** The items in runs of bounded size, in their order. */
export function* chunksOf(items: readonly FileItem[]): Generator<FileItem[]> {
  let chunk: FileItem[] = [];
  let bytes = 0;
  for (const item of items) {
    if (chunk.length > 0 && (chunk.length >= chunkItems || bytes + item.text.length > chunkBytes)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += item.text.length;
  }
  if (chunk.length > 0) yield chunk;
}
