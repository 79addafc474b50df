/** Transfers as Jobs: the real API server, Job controller, garbage collector and Glance. Nodes are processes of this machine. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { generated } from '../env/content.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { JobWorld } from './real.ts';

let jobs: JobWorld;
before(async () => {
  jobs = await JobWorld.create();
});
after(() => jobs[Symbol.asyncDispose]());

const size = 3 * 2 ** 20;

/** Declares an image whose source stops at a byte until it is released. */
async function declare(name: string, bytes = size) {
  const { world } = jobs;
  const body = generated(bytes, name);
  const released = Promise.withResolvers<void>();
  const url = world.source.add(`/${name}.raw`, { body, gate: { at: bytes - 1000, released: released.promise } });
  await world.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
  return { release: released.resolve, digest: digestOf(body, 'sha512') };
}

/** The pod as it is now. */
const now = (name: string) => jobs.kubelet.pods.find((pod) => pod.name === name);

const podOf = async (name: string) => {
  const { status } = await jobs.world.until(name, 'under way', (each) => each.status.transfer !== undefined);
  const imageID = status.revisions?.at(-1)?.imageID;
  return jobs.kubelet.running(`transfer-${imageID}`);
};
async function nothingLeft(): Promise<void> {
  let left: string[] = [];
  await eventually(
    async () => {
      left = await jobs.left();
      return left.length === 0;
    },
    () => `${left.join(', ')} are left`,
  );
}

test('a file above the size is transferred by a Job, one below it by the thread, and nothing is left', async () => {
  const [small, large] = [await declare('small', 100_000), await declare('large')];
  small.release();
  await jobs.world.ready('small');
  const pod = await podOf('large');
  await jobs.world.until('large', 'shown with its progress', ({ status }) => (status.transfer?.bytes ?? 0) > 0);
  large.release();
  const { status } = await jobs.world.ready('large');
  assert.equal(status.content?.digest.length, digestOf(Buffer.from('')).length);
  assert.deepEqual(
    jobs.kubelet.pods.map(({ name }) => name),
    [pod.name],
  );
  const image = await jobs.world.project.getImage(status.imageID ?? '');
  assert.equal(`sha512:${image.os_hash_value}`, large.digest);
  await nothingLeft();
});

test('a Job continues while its operator is killed, and the next operator takes its result', async () => {
  const { world, kubelet } = jobs;
  const { release } = await declare('kept');
  const pod = await podOf('kept');
  await world.operator.kill();
  release();
  await eventually(
    async () => now(pod.name)?.state === 'ended',
    () => `the pod is ${now(pod.name)?.state}: ${pod.log()}`,
  );
  const known = kubelet.pods.length;
  await jobs.start();
  const { status } = await world.ready('kept');
  assert.equal(kubelet.pods.length, known, 'the transfer ran again');
  assert.deepEqual(
    (await world.images()).filter(({ id }) => id === status.imageID).map((image) => image.status),
    ['active'],
  );
  await nothingLeft();
});

test('the deletion of a resource ends its pod and deletes Job, Secret and image', async () => {
  const { world } = jobs;
  const { release } = await declare('dropped');
  const pod = await podOf('dropped');
  await world.delete('dropped');
  await world.gone('dropped');
  assert.equal(now(pod.name)?.state, 'ended');
  release();
  await nothingLeft();
});

test('a pod that exceeds its memory is reported as TransferOutOfMemory, and one that is killed as TransferPodCrashed', async () => {
  const { world, kubelet } = jobs;
  const killed = { memory: 'OOMKilled', crash: 'SIGKILL' } as const;
  const reasons = { memory: 'TransferOutOfMemory', crash: 'TransferPodCrashed' } as const;
  for (const name of ['memory', 'crash'] as const) {
    const { release } = await declare(name);
    const pod = await podOf(name);
    kubelet.kill(pod.name, killed[name]);
    await world.reason(name, reasons[name]);
    release();
    await world.delete(name);
    await world.gone(name);
  }
  await nothingLeft();
});

test('a pod that is evicted is replaced by another, which fills the same image', async () => {
  const { world, kubelet } = jobs;
  const { release, digest } = await declare('evicted');
  const pod = await podOf('evicted');
  kubelet.evictUnderPressure(pod.name);
  release();
  const { status } = await world.ready('evicted');
  const own = kubelet.pods.filter(({ name }) => name.startsWith(`transfer-${status.imageID}`));
  assert.deepEqual([own.length, own[0]?.name], [2, pod.name]);
  const image = await world.project.getImage(status.imageID ?? '');
  assert.equal(`sha512:${image.os_hash_value}`, digest);
  await nothingLeft();
});
