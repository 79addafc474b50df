/**
 * Glance's own judgement of images, by its Python code in a process of its own. Law: it is asked about one image after the
 * other, and answers in the same order.
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

const answersSchema = z.array(
  z.object({ accepted: z.boolean(), virtual_size: z.number().nullable(), words: z.string() }),
);
/** One for each label. */
export type Answers = z.infer<typeof answersSchema>;

export async function askGlance(questions: readonly Question[]): Promise<Answers[]> {
  const child = spawn(join(folders.python, 'bin', 'python'), [join(import.meta.dirname, 'oracle.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let complaints = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaints = (complaints + text).slice(-4000);
  });
  // A process that has died tells why by itself.
  child.stdin.on('error', () => {});
  for (const question of questions) child.stdin.write(`${JSON.stringify(asJSON(question))}\n`);
  child.stdin.end();
  const answers: Answers[] = [];
  for await (const line of createInterface(child.stdout)) answers.push(answersSchema.parse(JSON.parse(line)));
  if (answers.length !== questions.length) throw new Error(`Glance's code gave up: ${complaints}`);
  return answers;
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
