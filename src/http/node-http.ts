/**
 * Node's `http`, without what an import loads with it: an import of a built-in module reads each of its exports, and those of `http` that
 * browsers have, such as `WebSocket`, load a second undici, which takes a MiB of each thread.
 */
const http = process.getBuiltinModule('node:http');

/** `404 Not Found`, or the number alone where HTTP has no phrase for it. */
export function statusWithPhrase(status: number): string {
  return `${status} ${http.STATUS_CODES[status] ?? ''}`.trimEnd();
}
