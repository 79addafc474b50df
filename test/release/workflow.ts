/** Parses the workflows as GitHub does, for the keys that ours use. Invariant: an unknown key is an error. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const root = resolve(import.meta.dirname, '../..');

const stepSchema = z.union([
  z.strictObject({
    id: z.string().optional(),
    uses: z.string(),
    with: z.record(z.string(), z.union([z.string(), z.boolean()])).default({}),
  }),
  z.strictObject({ id: z.string().optional(), run: z.string(), env: z.record(z.string(), z.string()).default({}) }),
]);
export type Step = z.infer<typeof stepSchema>;

const jobSchema = z.strictObject({
  needs: z.union([z.string(), z.array(z.string())]).optional(),
  'runs-on': z.string(),
  container: z.string().optional(),
  strategy: z
    .strictObject({
      'fail-fast': z.literal(false).optional(),
      'max-parallel': z.number().optional(),
      matrix: z.strictObject({ runner: z.array(z.string()).optional(), combination: z.array(z.string()).optional() }),
    })
    .optional(),
  'timeout-minutes': z.number(),
  environment: z.string().optional(),
  permissions: z.record(z.string(), z.enum(['read', 'write'])),
  outputs: z.record(z.string(), z.string()).default({}),
  steps: z.array(stepSchema),
});
export type Job = z.infer<typeof jobSchema>;

const workflowSchema = z.strictObject({
  name: z.string(),
  on: z.record(z.string(), z.unknown()),
  permissions: z.strictObject({}),
  concurrency: z.looseObject({ group: z.string() }),
  defaults: z.strictObject({ run: z.strictObject({ shell: z.literal('bash') }) }),
  env: z.record(z.string(), z.string()).default({}),
  jobs: z.record(z.string(), jobSchema),
});

export interface Workflow extends z.infer<typeof workflowSchema> {
  file: string;
  text: string;
}

export function readWorkflows(): Workflow[] {
  return globSync('.github/workflows/*', { cwd: root })
    .sort()
    .map((file) => {
      const text = readFileSync(join(root, file), 'utf8');
      return { ...workflowSchema.parse(parse(text)), file: basename(file), text };
    });
}

export function stepsOf({ jobs }: Workflow): Step[] {
  return Object.values(jobs).flatMap(({ steps }) => steps);
}

/** The commands of each step that has some. */
export function commandsOf(workflow: Workflow): string[] {
  return stepsOf(workflow).flatMap((step) => ('run' in step ? [step.run] : []));
}
