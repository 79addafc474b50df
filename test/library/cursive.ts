/** The real cursive of the test environment, asked once for a whole table. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { HashMethod, KeyType } from '../../src/library/signature.ts';
import { python } from '../env/wsgi.ts';

export interface Signing {
  /** Name of a key. */
  key: string;
  keyType: KeyType;
  hashMethod: HashMethod;
  message: Buffer;
}

export interface Judging {
  /** Name of a key or of a certificate. */
  certificate: string;
  keyType: string;
  hashMethod: string;
  message: Buffer;
  /** The property's text. */
  signature: string;
}

export interface Question {
  /** Private keys (PEM) by name; they come back as certificates. */
  keys?: Record<string, string>;
  /** PEM by name. */
  certificates?: Record<string, string>;
  sign?: readonly Signing[];
  verify?: readonly Judging[];
  /** Texts for Python's `b64decode`. */
  decode?: readonly string[];
  /**
   * The source of castellan's certificates, if not `keys` and `certificates`; then they are identified by the ids of
   * secrets.
   */
  keyManager?: { url: string; authUrl: string; username: string; password: string; project: string };
}

const answerSchema = z.object({
  /** The key types that this cursive knows: its cryptography package may have lost curves. */
  keyTypes: z.array(z.string()),
  certificates: z.record(z.string(), z.string()),
  /** The properties' texts. */
  signatures: z.array(z.string()),
  /** Null where cursive accepts, else what it said. */
  verdicts: z.array(z.string().nullable()),
  decoded: z.array(z.string().nullable()),
});
export type CursiveAnswer = z.infer<typeof answerSchema>;

export async function askCursive(question: Question): Promise<CursiveAnswer> {
  const { keys = {}, certificates = {}, sign = [], verify = [], decode = [], keyManager = null } = question;
  const text = <T extends { message: Buffer }>(one: T) => ({ ...one, message: one.message.toString('base64') });
  const asked = { keys, certificates, sign: sign.map(text), verify: verify.map(text), decode, keyManager };
  const answer = promisify(execFile)(python, [join(import.meta.dirname, 'ask_cursive.py')], {
    maxBuffer: 16 * 1024 * 1024,
  });
  answer.child.stdin?.end(JSON.stringify(asked));
  return answerSchema.parse(JSON.parse((await answer).stdout));
}
