/** Transfers as Jobs: the real API server, Job controller, garbage collector and Glance. Nodes are processes of this machine. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { imageIDOf } from '../../src/image/model/identity.ts';
import { generated } from '../env/content.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { Fleet } from '../operator/replicas.ts';
import { messageOf } from '../operator/world.ts';
import { JobWorld } from './real.ts';

let jobs: JobWorld;
before(async () => {
  jobs = await JobWorld.create();
});
after(() => jobs[Symbol.asyncDispose]());

const size = 3 * 2 ** 20;

/** Declares an image whose source stops at a byte until it is released. `change` declares it otherwise. */
async function declare(name: string, bytes = size) {
  const { world } = jobs;
  const body = generated(bytes, name);
  const released = Promise.withResolvers<void>();
  const file = { body, gate: { at: bytes - 1000, released: released.promise } };
  const change = (path = '', suspend = false) => {
    const http = { url: world.source.add(`/${name}${path}.raw`, file), digest: digestOf(body) };
    return world.apply(name, { image: { diskFormat: 'raw' }, content: { http }, suspend });
  };
  await change();
  return { release: released.resolve, digest: digestOf(body, 'sha512'), change };
}

/** The pod as it is now. */
const now = (name: string) => jobs.kubelet.pods.find((pod) => pod.name === name);

const podOf = async (name: string) => {
  const { status } = await jobs.world.until(name, 'under way', (each) => each.status.transfer !== undefined);
  const imageID = status.revisions?.at(-1)?.imageID;
  return jobs.kubelet.running(`transfer-${imageID}`);
};
const ended = (name: string) =>
  eventually(
    async () => now(name)?.state === 'ended',
    () => `the pod is ${now(name)?.state}: ${now(name)?.log()}`,
  );

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
  await ended(pod.name);
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

test('a Job continues while another replica becomes the leader, which takes its result', async () => {
  const { world, kubelet } = jobs;
  const lease = { duration: '20s', renewDeadline: '12s', retry: '1s' };
  await world.operator.stop();
  try {
    await using fleet = await Fleet.create(world, 2, lease, jobs.flags());
    for (const fault of ['stopped', 'killed'] as const) {
      const { release, digest } = await declare(fault);
      const pod = await podOf(fault);
      await fleet.replaceLeader(fault, 0);
      assert.equal(now(pod.name)?.state, 'running', pod.log());
      release();
      const { status } = await world.ready(fault);
      const image = await world.project.getImage(status.imageID ?? '');
      assert.equal(`sha512:${image.os_hash_value}`, digest);
      const own = kubelet.pods.filter(({ name }) => name.startsWith(`transfer-${status.imageID}`));
      assert.deepEqual([own.length, own[0]?.name], [1, pod.name]);
      await nothingLeft();
    }
  } finally {
    await jobs.start();
  }
});

test('an edit, a suspension and the deletion of a resource each end its pod and delete its Job and its Secret', async () => {
  const { world } = jobs;
  const { release, change } = await declare('dropped');
  const first = await podOf('dropped');
  await change('-moved');
  await ended(first.name);
  const second = await podOf('dropped');
  await change('-moved', true);
  await ended(second.name);
  await nothingLeft();
  const { status } = await world.reason('dropped', 'Suspended');
  // Glance notices the end of an upload after a while.
  await eventually(
    async () => (await world.project.getImage(status.revisions?.at(-1)?.imageID ?? '')).status === 'queued',
    () => 'the image is not queued',
  );
  await change('-moved');
  const third = await podOf('dropped');
  await world.delete('dropped');
  await world.gone('dropped');
  // A resource waits for its pod for a time only.
  await ended(third.name);
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
  const path = `/api/v1/namespaces/${world.namespace}/pods/${pod.name}/eviction`;
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod.name } };
  (await world.stack.kubernetes.request('POST', path, eviction)).ok();
  await world.untilEvent('TransferPodEvicted');
  release();
  const { status } = await world.ready('evicted');
  const own = kubelet.pods.filter(({ name }) => name.startsWith(`transfer-${status.imageID}`));
  assert.deepEqual([own.length, own[0]?.name], [2, pod.name]);
  const image = await world.project.getImage(status.imageID ?? '');
  assert.equal(`sha512:${image.os_hash_value}`, digest);
  await nothingLeft();
});

test('a pod that is rejected by a quota, finds no node or cannot pull its image has a reason of its own, and heals', async () => {
  const { world, kubelet } = jobs;
  await world.operator.stop();
  const names = ['pull', 'node'];
  const files = await Promise.all(names.map((name) => declare(name)));
  const obstacles = { pull: { kind: 'Waiting', reason: 'ImagePullBackOff' }, node: { kind: 'Unschedulable' } } as const;
  const holds = await Promise.all(
    (['pull', 'node'] as const).map(async (name) => {
      const uid = (await world.get(name))?.metadata.uid ?? '';
      return kubelet.hold(`transfer-${imageIDOf(uid, 0)}`, obstacles[name]);
    }),
  );
  await jobs.start();
  const waitsFor = (name: string, words: string) =>
    world.until(name, 'waiting for its pod', (resource) => messageOf(resource).includes(`waiting for its pod${words}`));
  await waitsFor('pull', ': ImagePullBackOff');
  await waitsFor('node', ': Unschedulable');
  const quota = await jobs.rejectPods();
  files.push(await declare('quota'));
  await waitsFor('quota', '');
  // The obstacles are reported by now, so that the shortest time to start shows each of them on any machine.
  await world.operator.stop();
  await jobs.start({ pendingSeconds: 10 });
  const reasons = { pull: 'TransferImagePull', node: 'TransferPodPending', quota: 'TransferPodRefused' };
  for (const [name, reason] of Object.entries(reasons)) await world.reason(name, reason);
  for (const { release } of [...holds, ...files, quota]) await release();
  await world.operator.stop();
  await jobs.start();
  for (const name of Object.keys(reasons)) await world.annotate(name, reconcileAtAnnotation, 'again');
  for (const name of Object.keys(reasons)) await world.ready(name);
  await nothingLeft();
});

test('a pod whose node is lost (simulated) and that ends late fills its image once, and no second image is made', async () => {
  const { world, kubelet } = jobs;
  const { release, digest } = await declare('lost');
  const pod = await podOf('lost');
  await kubelet.loseNode(pod.node ?? '', 'continue');
  await kubelet.removeNode(pod.node ?? '');
  await world.untilEvent('TransferNodeLost');
  release();
  const { status, metadata } = await world.ready('lost');
  assert.equal(status.imageID, imageIDOf(metadata.uid, 0));
  const image = await world.project.getImage(status.imageID ?? '');
  assert.equal(`sha512:${image.os_hash_value}`, digest);
  await nothingLeft();
});
