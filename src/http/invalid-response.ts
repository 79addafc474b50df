/** The problem of a response that is not valid HTTP, by the errors of the client, which have no common form. */
import { describe, errorCode } from '../lib/errors.ts';

/** undici's messages for a status 100 or 101 that no request asked for. */
const unrequested: ReadonlySet<string> = new Set(['bad response', 'bad upgrade']);

const unrequestedStatus = 'it sent a status 100 or 101 that the request did not ask for';

/** The end of a sentence; undefined if the connection failed for another reason. */
export function invalidityOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  switch (errorCode(error)) {
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
      return 'its body is not as long as its Content-Length, or it has a second Content-Length or Transfer-Encoding header';
    case 'UND_ERR_HEADERS_OVERFLOW':
      return describe(error);
    case 'UND_ERR_SOCKET':
      return unrequested.has(error.message) ? unrequestedStatus : undefined;
    case 'ERR_ASSERTION':
      // undici's checks of a status such as 000, and of 101 without the name of a protocol.
      if (error.message.includes('assert(upgrade)')) return unrequestedStatus;
      return error.message.includes('assert(statusCode') ? 'its status is less than 100' : undefined;
    default:
      // undici's parser errors have a name, but not always a code.
      return error.name === 'HTTPParserError' ? describe(error) : undefined;
  }
}
