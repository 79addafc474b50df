/**
 * Cinder's side of a comparison: its image service in one Python process that runs case by case.
 *
 * Invariant: it is called with the types of its own callers, and its results are passed on unchanged.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { folders } from '../env/parts.mjs';
import type { Project, ProjectUser } from '../env/project.ts';
import { python } from '../env/wsgi.ts';
import type { Operation, Who } from './operation.ts';
import type { Outcome, Side } from './side.ts';

const answerSchema = z.array(
  z.union([
    z.object({ returned: z.json() }),
    z.object({ raised: z.object({ class: z.string(), code: z.json(), text: z.string() }) }),
  ]),
);

export interface CinderOptions {
  /** Glance without a version. */
  glance: string;
  own: Project;
  stranger: Project;
}

export async function startCinder({ glance, own, stranger }: CinderOptions): Promise<Side> {
  const people: Record<Who, Person> = {
    member: await personIn(own, 'member'),
    reader: await personIn(own, 'reader'),
    stranger: await personIn(stranger, 'member'),
  };
  const driver = spawn(python, ['-W', 'ignore', join(import.meta.dirname, 'driver.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, PYTHONPATH: folders.cinder },
  });
  let said = '';
  driver.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const exited = once(driver, 'exit');
  const answers = createInterface({ input: driver.stdout })[Symbol.asyncIterator]();
  const tell = (line: unknown) => driver.stdin.write(`${JSON.stringify(line)}\n`);
  tell({ glance, people });
  return {
    async run(operations, options) {
      tell({ operations: operations.map(inPythonsTerms), ...options });
      const { value, done } = await answers.next();
      if (done) throw new Error(`Cinder's driver has ended: ${said}`);
      return answerSchema.parse(JSON.parse(value)).map(toOutcome);
    },
    async close() {
      driver.stdin.end();
      await exited;
    },
  };
}

/** A user as in Cinder's request context. */
interface Person {
  token: string;
  project: string;
  user: string;
}

async function personIn(project: Project, user: ProjectUser): Promise<Person> {
  return { token: await project.token(user), project: project.id, user: project.accounts[user].id };
}

/** Every option with the default that Cinder gives it. */
function inPythonsTerms(operation: Operation): object {
  return { as: 'member', purge: true, store: null, baseImageRef: null, sink: true, schemes: [], ...operation };
}

function toOutcome(answer: z.infer<typeof answerSchema>[number]): Outcome {
  if ('returned' in answer) return answer;
  const { class: error, code, text } = answer.raised;
  return { error, code: typeof code === 'number' ? code : null, text };
}
