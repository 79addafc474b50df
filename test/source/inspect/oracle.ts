/**
 * Glance's own verdict on images, by its Python code in a separate process.
 *
 * Invariant: requests are sent one after the other, and responses come in the same order.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { folders } from '../../env/parts.mjs';

export interface Question {
  image: Buffer;
  /** The disk formats to try. */
  labels: readonly string[];
  /** Default `bare`. */
  container?: string;
  /** In pieces of how many bytes the store reads. Default 64 KiB, as the file store does. */
  chunk?: number;
}

const verdictsSchema = z.array(
  z.object({ accepted: z.boolean(), virtual_size: z.number().nullable(), message: z.string() }),
);
/** One for each label. */
export type Verdicts = z.infer<typeof verdictsSchema>;

export async function askGlance(questions: readonly Question[]): Promise<Verdicts[]> {
  const child = spawn(join(folders.python, 'bin', 'python'), [join(import.meta.dirname, 'oracle.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaints = (complaints + text).slice(-4000);
  });
  // A process that has died explains itself on standard error.
  child.stdin.on('error', () => {});
  for (const question of questions) child.stdin.write(`${JSON.stringify(asJSON(question))}\n`);
  child.stdin.end();
  const verdicts: Verdicts[] = [];
  for await (const line of createInterface(child.stdout)) verdicts.push(verdictsSchema.parse(JSON.parse(line)));
  if (verdicts.length !== questions.length) throw new Error(`Glance's code gave up: ${complaints}`);
  return verdicts;
}

function asJSON({ image, labels, container = 'bare', chunk = 65536 }: Question) {
  const block = 4096;
  const parts: [number, string][] = [];
  for (let at = 0; at < image.length; at += block) {
    const part = image.subarray(at, at + block);
    if (part.some((byte) => byte !== 0)) parts.push([at, part.toString('base64')]);
  }
  return { length: image.length, parts, labels, container, chunk };
}
