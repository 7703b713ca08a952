/** As many pages as reads may be under way and as many again ahead of them, by default. */
const KEPT_MAX = 16;

/** The size of the page that was taken last. */
let size = 0;
/** Memory of this size that came back. */
let kept: ArrayBuffer[] = [];

/**
 * Memory for a page of history. Pages come and go by the thousand, and each would take its memory from the system afresh: a
 * page fault for every 4 KiB, which cost more than what was done with the page (100,000 events: 8,000 faults).
 */
export function takePageMemory(bytes: number): Buffer {
  if (bytes !== size) kept = [];
  size = bytes;
  const memory = kept.pop();
  return memory ? Buffer.from(memory) : Buffer.allocUnsafeSlow(bytes);
}

/**
 * Takes a page's memory back when the page is sent. Whoever should use the page all the same finds nothing, not another page:
 * what is kept is detached from it. The page has to be alone in its memory.
 */
export function givePageMemory({ buffer }: Uint8Array): void {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return; // it has come back already
  if (buffer.byteLength === size && kept.length < KEPT_MAX) kept.push(buffer.transfer());
  else buffer.transfer(0);
}
