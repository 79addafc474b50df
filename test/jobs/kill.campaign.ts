/**
 * A hundred transfers as Jobs, of which the operator, the pod or both are killed at random bytes, while the watches of Jobs and pods
 * break after a few events. Each becomes an image with the declared bytes, and leaves nothing. The seed is in the name of the test;
 * JOBS_SEED sets it.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { generated } from '../env/content.ts';
import { type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { JobWorld } from './real.ts';

const rounds = 100;
/** That are played at once, each in a namespace of its own: most of a round is waiting. */
const worlds = 5;
const size = 3 * 2 ** 20;
const seed = Number(process.env['JOBS_SEED'] ?? Date.now() % 2 ** 31);
const victims = ['operator', 'pod', 'both'] as const;

/** Numerical Recipes' generator: enough for the choice of a byte. */
function numbers(start: number): () => number {
  let state = start;
  return () => {
    state = (1_664_525 * state + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

const losses = ['cut', 'end', 'halfLine'] as const;
const isWatch = ({ path }: ProxiedRequest) => /\/(?:jobs|pods)\?.*watch=/.test(path);

describe(`${rounds} transfers as Jobs whose operator, pod or both are killed, with the seed ${seed}`, {
  concurrency: worlds,
}, () => {
  for (let part = 0; part < worlds; part++) {
    test(`transfers of part ${part} fill their images although they are killed at random bytes`, (t) => play(part, t));
  }
});

async function play(part: number, t: TestContext): Promise<void> {
  const random = numbers(seed + part);
  const stack = await connectStack();
  await using proxy = await startProxy({ url: stack.kubernetes.server, ca: stack.kubernetes.caPem });
  await using jobs = await JobWorld.create({ stack, through: { server: proxy.url } });
  for (let round = part; round < rounds; round += worlds) {
    const victim = victims[Math.floor(random() * victims.length)] ?? 'both';
    const at = Math.floor(random() * size);
    const what = losses[Math.floor(random() * losses.length)] ?? 'cut';
    const lines = 1 + Math.floor(random() * 4);
    await t.test(
      `round ${round} kills ${victim} at byte ${at}, and each watch has ${what} after line ${lines}`,
      async () => {
        proxy.forget();
        const restore = proxy.on({ matches: isWatch, fault: { kind: 'afterLines', lines, what } });
        await transfer(`round-${round}`, { jobs, victim, at });
        restore();
      },
    );
  }
}

/** Kills the victim when the file has been sent up to the byte `at`, and follows the transfer to its end. */
async function transfer(
  name: string,
  { jobs, victim, at }: { jobs: JobWorld; victim: (typeof victims)[number]; at: number },
): Promise<void> {
  const { world, kubelet } = jobs;
  const body = generated(size, name);
  const released = Promise.withResolvers<void>();
  const url = world.source.add(`/${name}.raw`, { body, gate: { at, released: released.promise } });
  await world.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
  const { status: begun } = await world.until(name, 'under way', ({ status }) => status.transfer !== undefined);
  const pod = await kubelet.running(`transfer-${begun.revisions?.at(-1)?.imageID}`);
  if (victim !== 'pod') await world.operator.kill();
  if (victim !== 'operator') kubelet.kill(pod.name, 'SIGKILL');
  released.resolve();
  if (victim !== 'pod') await jobs.start();
  // A crash is tried again after minutes, or at once on request.
  if (victim !== 'operator') {
    await world.reason(name, 'TransferPodCrashed');
    await world.annotate(name, reconcileAtAnnotation, 'again');
  }
  const { status } = await world.ready(name);
  const image = await world.project.getImage(status.imageID ?? '');
  assert.equal(`sha512:${image.os_hash_value}`, digestOf(body, 'sha512'));
  await world.delete(name);
  await world.gone(name);
  let left: string[] = [];
  await eventually(
    async () => {
      left = await jobs.left();
      return left.length === 0;
    },
    () => `${left.join(', ')} are left`,
  );
}
