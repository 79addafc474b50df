/**
 * The state of an object for Flux and Argo CD: kstatus by the library of Flux, and our health script in the Lua of Argo
 * CD.
 *
 * Invariant: neither is imitated in TypeScript.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { folders } from '../env/parts.mjs';
import { patienceMs } from '../env/wait.ts';

const verdict = z.object({ status: z.string(), message: z.string() });
const judgement = z.object({ kstatus: verdict, argo: verdict });
export type Judgement = z.infer<typeof judgement>;

/** In the layout of Argo CD's own repository. */
export const customizations = join(
  import.meta.dirname,
  '../../examples/argo-cd/resource_customizations/glance-image-operator.dev/GlanceImage',
);
export const healthScript = readFileSync(join(customizations, 'health.lua'), 'utf8');

/** One result for each object, in their order. The objects are as the API server returns them. */
export async function judge(objects: readonly unknown[]): Promise<Judgement[]> {
  return z
    .array(judgement)
    .length(objects.length)
    .parse(await ask({ health: healthScript, objects }));
}

/** What a script of an action returns for an object. */
export async function act(script: string, object: unknown): Promise<unknown> {
  const [result] = z.tuple([z.unknown()]).parse(await ask({ action: script, objects: [object] }));
  return result;
}

async function ask(question: object): Promise<unknown> {
  const asked = promisify(execFile)(join(folders.judge, 'judge'), { timeout: patienceMs });
  asked.child.stdin?.end(JSON.stringify(question));
  const { stdout } = await asked;
  return JSON.parse(stdout);
}
