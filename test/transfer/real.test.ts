import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { Runner } from '../../src/transfer/executor.ts';
import type { TransferPlan } from '../../src/transfer/plan.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { digestOf, generated } from '../env/content.ts';
import { egress, useScene } from './real.ts';

const mib = 1024 * 1024;
const scene = useScene();
let thread: Runner;
const crashes: string[] = [];
before(async () => {
  thread = createThreadExecutor({ egress, clock: systemClock, onCrash: (why) => crashes.push(why) });
});
after(async () => {
  await thread.close();
});

const wrongDigest = `sha256:${'0'.repeat(64)}`;

/** Resolves once Glance has begun to take data for the image. */
async function begun({ imageID }: TransferPlan): Promise<void> {
  while ((await scene().project.getImage(imageID)).status === 'queued');
}

describe('a transfer to the real Glance', () => {
  test('a transfer to the real Glance makes the image active with the bytes of the source, and reports its result', async () => {
    const { source, path, plan, run, project, puts } = scene();
    const body = generated(5 * mib);
    const url = source.add(path(), { body });
    const wanted = await plan({ url: `${url}?token=hunter2`, digest: `sha256:${digestOf(body)}` });
    const result = await run(wanted);
    const image = await project.getImage(wanted.imageID);
    assert.equal(image.status, 'active');
    assert.equal(image.os_hash_value, digestOf(body, 'sha512'));
    const { startedAt, durationMs, image: left, ...rest } = result;
    assert.deepEqual(rest, {
      bytes: body.size,
      servedBytes: body.size,
      digest: wanted.digest,
      imageDigest: `sha512:${digestOf(body, 'sha512')}`,
      format: 'raw',
      virtualSize: body.size,
      url: `${url}?…`,
      resumes: 0,
    });
    assert.match(startedAt, /^\d{4}-.*Z$/);
    assert(durationMs > 0);
    assert.deepEqual([left.id, left.status, left.size], [wanted.imageID, 'active', body.size]);
    assert.equal(puts(wanted), 1);
  });

  test('a transfer in another thread has the same result', async () => {
    const { source, path, plan, run, project } = scene();
    const body = generated(5 * mib);
    const digest = `sha512:${digestOf(body, 'sha512')}`;
    const wanted = await plan({ url: source.add(path(), { body }), digest });
    const phases = new Set<string>();
    const result = await run(wanted, { executor: thread, onProgress: ({ phase }) => phases.add(phase) });
    assert.deepEqual([result.bytes, result.imageDigest], [body.size, digest]);
    assert.deepEqual([...phases], ['connecting', 'transferring', 'finishing']);
    assert.equal((await project.getImage(wanted.imageID)).status, 'active');
    const missing = await plan({ url: `${source.url}/missing` });
    await assert.rejects(run(missing, { executor: thread }), { code: 'SourceNotFound', httpStatus: 404 });
  });

  test('a transfer fills the requested store', async () => {
    const { source, path, plan, run, project } = scene();
    const url = source.add(path(), { body: generated(1000) });
    const wanted = await plan({ url, stores: { kind: 'some', names: ['slow', 'fast'] } });
    await run(wanted);
    assert.equal((await project.getImage(wanted.imageID))['stores'], 'slow');
    const nowhere = await plan({ url, stores: { kind: 'some', names: ['cold'] } });
    await assert.rejects(run(nowhere), { code: 'StoreNotFound' });
  });

  test('a transfer with rejected data leaves the image queued, and it can be filled again', async () => {
    const { source, path, plan, run, settled } = scene();
    const body = generated(3 * mib);
    const gate = Promise.withResolvers<void>();
    const url = source.add(path(), { body, gate: { at: body.size - 1, released: gate.promise } });
    const wanted = await plan({ url, digest: wrongDigest });
    const running = assert.rejects(run(wanted), { code: 'DigestMismatch' });
    await begun(wanted);
    gate.resolve();
    await running;
    assert.equal((await settled(wanted)).status, 'queued');
    await run({ ...wanted, digest: `sha256:${digestOf(body)}` });
    assert.equal((await settled(wanted)).status, 'active');
  });

  test('a transfer into an image that is deleted during it fails with ImageGone', async () => {
    const { source, path, plan, run, project } = scene();
    const gate = Promise.withResolvers<void>();
    const url = source.add(path(), { body: generated(4 * mib), gate: { at: 3 * mib, released: gate.promise } });
    const wanted = await plan({ url });
    const running = assert.rejects(run(wanted), { code: 'ImageGone' });
    await begun(wanted);
    (await project.image('DELETE', `/v2/images/${wanted.imageID}`)).ok();
    gate.resolve();
    await running;
  });

  test('a transfer whose PUT response is lost results in the same image with one PUT', async () => {
    const { source, path, plan, run, glance, puts, settled } = scene();
    const body = generated(2 * mib);
    const wanted = await plan({ url: source.add(path(), { body }), digest: `sha256:${digestOf(body)}` });
    glance.on({ matches: (request) => request.path.endsWith(`${wanted.imageID}/file`), fault: { kind: 'loseAnswer' } });
    assert.equal((await run(wanted)).bytes, body.size);
    assert.equal((await settled(wanted)).status, 'active');
    assert.equal(puts(wanted), 1);
  });

  test('a transfer with a 502 after all of its data is not repeated', async () => {
    const { source, path, plan, run, glance, puts, settled } = scene();
    const wanted = await plan({ url: source.add(path(), { body: generated(2 * mib) }) });
    const fault = { kind: 'answer', status: 502 } as const;
    glance.on({ matches: (request) => request.path.endsWith(`${wanted.imageID}/file`), fault });
    await assert.rejects(run(wanted), { code: 'GlanceUnavailable', httpStatus: 502 });
    assert.equal((await settled(wanted)).status, 'queued');
    assert.equal(puts(wanted), 1);
  });
});

test('a transfer whose source has stalled delays no healthy one in the same thread', async () => {
  const { source, path, plan, run, settled } = scene();
  const at = path();
  const stalled = await plan({
    url: source.add(at, { body: generated(mib), fault: { kind: 'stallAt', byte: mib / 2 } }),
  });
  const controller = new AbortController();
  let ended = false;
  const waiting = run(stalled, { executor: thread, signal: controller.signal }).finally(() => {
    ended = true;
  });
  waiting.catch(() => {});
  await source.requested(at);
  const healthy = await Promise.all([1, 2, 3].map(() => plan({ url: source.add(path(), { body: generated(mib) }) })));
  await Promise.all(healthy.map((each) => run(each, { executor: thread })));
  assert.equal(ended, false);
  controller.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  assert.equal((await settled(stalled)).status, 'queued');
});

describe('a transfer that is cancelled', () => {
  for (const [where, at] of [
    ['before the first byte', 0],
    ['after the first byte', 1],
    ['in the middle', 2 * mib],
    ['before the last byte', 4 * mib - 1],
  ] as const) {
    for (const which of ['this thread', 'another thread']) {
      test(`a transfer that is cancelled ${where} in ${which} ends promptly and leaves the image queued`, async () => {
        const { source, path, plan, run, settled } = scene();
        const file = path();
        const url = source.add(file, { body: generated(4 * mib), gate: { at, released: new Promise(() => {}) } });
        const wanted = await plan({ url });
        const controller = new AbortController();
        const { signal } = controller;
        const reason = new Error('deleted');
        const running = which === 'this thread' ? run(wanted, { signal }) : run(wanted, { signal, executor: thread });
        const rejected = assert.rejects(running, reason);
        const request = await source.requested(file);
        while (request.sent < at) await new Promise((done) => setImmediate(done));
        controller.abort(reason);
        await rejected;
        assert.deepEqual(crashes, [], 'the thread was not terminated for a cancelled transfer that does not end');
        assert.equal((await settled(wanted)).status, 'queued');
      });
    }
  }
});

describe('a transfer by way of the staging area', () => {
  const staged = { method: 'Stage' } as const;

  test('a staged transfer makes the image active with the bytes of the source', async () => {
    const { source, path, plan, run, project, puts } = scene();
    const body = generated(3 * mib);
    const wanted = await plan({ ...staged, url: source.add(path(), { body }), digest: `sha256:${digestOf(body)}` });
    const result = await run(wanted);
    const image = await project.getImage(wanted.imageID);
    assert.equal(image.status, 'active');
    assert.equal(result.imageDigest, `sha512:${image.os_hash_value}`);
    assert.equal(image.os_hash_value, digestOf(body, 'sha512'));
    assert.equal(puts(wanted), 1);
  });

  test('a staged transfer fills every requested store', async () => {
    const { source, path, plan, run, project } = scene();
    const url = source.add(path(), { body: generated(1000) });
    const both: TransferPlan['stores'] = { kind: 'some', names: ['fast', 'slow'] };
    for (const stores of [{ kind: 'all' } as const, both]) {
      const wanted = await plan({ ...staged, url, stores });
      await run(wanted);
      const image = await project.getImage(wanted.imageID);
      assert.deepEqual(String(image['stores']).split(',').sort(), ['fast', 'slow']);
    }
  });

  test('a staged transfer never imports wrong data', async () => {
    const { source, path, plan, run, settled, glance } = scene();
    const wanted = await plan({ ...staged, url: source.add(path(), { body: generated(mib) }), digest: wrongDigest });
    await assert.rejects(run(wanted), { code: 'DigestMismatch' });
    assert.equal((await settled(wanted)).status, 'queued');
    assert(!glance.requests.some((request) => request.path.endsWith(`${wanted.imageID}/import`)));
  });

  test('a staged transfer continues after the responses to both steps are lost', async () => {
    const { source, path, plan, run, settled, glance, puts } = scene();
    const wanted = await plan({ ...staged, url: source.add(path(), { body: generated(3 * mib) }) });
    for (const step of ['stage', 'import']) {
      const matches = (request: { path: string }) => request.path.endsWith(`${wanted.imageID}/${step}`);
      glance.on({ matches, fault: { kind: 'loseAnswer' }, times: 1 });
    }
    await run(wanted);
    assert.equal((await settled(wanted)).status, 'active');
    assert.equal(puts(wanted), 1);
  });

  test('a staged transfer into an image that is deleted during it fails with ImageGone', async () => {
    const { source, path, plan, run, project } = scene();
    const wanted = await plan({ ...staged, url: source.add(path(), { body: generated(mib) }) });
    const running = run(wanted);
    await begun(wanted);
    (await project.image('DELETE', `/v2/images/${wanted.imageID}`)).ok();
    await assert.rejects(running, { code: 'ImageGone' });
  });
});
