/**
 * Signatures that current software no longer makes, each with its certificate.
 *
 * Invariant: cursive has accepted all of them.
 *
 * - On the SECT curves: made by cryptography 46.0.7, the last to know them, and accepted by cursive 0.3.1 on it.
 * - With keys for RSASSA-PSS only, and one that is too short to sign with: OpenSSL made the certificates.
 * - With a key of 2049 bits, whose longest salt is a byte shorter than its length in bytes suggests: made by cryptography 41.0.7,
 *   the last of those that insist on the salt's length. OpenSSL makes no keys of an odd length by itself.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

export const vectors = z
  .object({
    message: z.base64().transform((text) => Buffer.from(text, 'base64')),
    certificates: z.record(z.string(), z.string()),
    signatures: z.array(
      z.object({ certificate: z.string(), keyType: z.string(), hashMethod: z.string(), signature: z.base64() }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(import.meta.dirname, 'signature-vectors.json'), 'utf8')));
