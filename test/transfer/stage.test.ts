import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { ImageTask } from '../../src/glance/client/index.ts';
import { GlanceConnectionFailed, GlanceUnavailable } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import type { Target } from '../../src/transfer/delivery.ts';
import { runTransfer } from '../../src/transfer/engine.ts';
import { createVirtualClock } from '../clock.ts';
import { imageOf } from '../glance/model.ts';
import { planOf } from './plans.ts';
import { sourceOf } from './sink.ts';

const data = Buffer.from('the data of an image');
const value = createHash('sha512').update(data).digest('hex');
const task = { os_glance_import_task: 'task-1' };
const staged: Partial<Image> = { status: 'uploading', size: data.length, diskFormat: 'raw' };
const active: Partial<Image> = { ...staged, status: 'active', hash: { algorithm: 'sha512', value } };

/** A Glance that stages everything, and then reports the `looks` in order, the last of them repeatedly. */
async function run(
  looks: readonly Partial<Image>[],
  tasks: Partial<ImageTask>[] = [],
  error?: Error,
  importError?: Error,
) {
  const requests: unknown[] = [];
  let looked = 0;
  const target: Target = {
    hashAlgorithm: undefined,
    images: {
      get: async () => ({ ...imageOf(), ...looks[Math.min(looked++, looks.length - 1)] }),
      upload: async () => assert.fail('it is not uploaded'),
      async stage(_id, body) {
        for await (const _chunk of body);
        if (error !== undefined) throw error;
      },
      async importImage(_id, request) {
        requests.push(request);
        if (importError !== undefined) throw importError;
      },
      tasks: async () => tasks.map((each) => ({ id: '', type: '', status: 'failure', message: '', ...each })),
    },
  };
  const clock = createVirtualClock();
  const { signal } = new AbortController();
  const options = { openSource: sourceOf([data]), target, clock, onProgress: () => {}, signal };
  const transfer = runTransfer(planOf({ method: 'Stage' }), options);
  let settled = false;
  const end = () => {
    settled = true;
  };
  transfer.then(end, end);
  for (let minutes = 0; !settled && minutes < 150; minutes++) await clock.advance(60_000);
  return { result: await transfer, requests, looked, elapsedMs: clock.monotonic() };
}

test('a staged transfer waits for its import as long as it runs', async () => {
  const running = { ...staged, status: 'importing', properties: task };
  const { result, requests } = await run([staged, { ...staged, properties: task }, running, running, active]);
  assert.equal(result.imageDigest, `sha512:${value}`);
  assert.deepEqual(requests, [{ method: { name: 'glance-direct' } }]);
});

test('a staged transfer fails if its import does not finish', async () => {
  const running = { ...staged, status: 'importing', properties: task };
  await assert.rejects(run([staged, running]), { code: 'ImportFailed', message: /does not finish/ });
});

test('a failed import is reported with the message of Glance if there is one', async () => {
  const failed = { ...staged, status: 'queued', properties: { os_glance_failed_import: 'fast' } };
  const tasks = [{ message: 'the first' }, { message: 'Store fast is full' }, { status: 'success', message: 'no' }];
  await assert.rejects(run([staged, failed], tasks), {
    code: 'ImportFailed',
    message: /Glance reports: Store fast is full/,
  });
  const stuck = { ...staged, status: 'importing', properties: {} };
  await assert.rejects(run([staged, stuck]), { code: 'ImportFailed', message: /reports no cause/ });
  const partial = { ...active, properties: { os_glance_failed_import: 'slow' } };
  await assert.rejects(run([staged, partial]), { code: 'ImportFailed', message: /did not reach slow/ });
});

test('an import starts only after all of the data is staged', async () => {
  await assert.rejects(run([{ ...staged, size: 3 }]), { code: 'UploadMismatch', message: /3 staged bytes/ });
  await assert.rejects(run([{ ...staged, size: null }]), { code: 'UploadMismatch' });
});

test('an image that no plugin has changed is compared with the data that was sent', async () => {
  const other = { ...active, hash: { algorithm: 'sha512', value: 'abc' } };
  await assert.rejects(run([staged, other]), { code: 'UploadMismatch' });
});

test('an image that a plugin has changed is accepted as Glance reports it', async () => {
  const converted = { ...active, diskFormat: 'qcow2', size: 7, hash: { algorithm: 'sha512', value: 'abc' } };
  assert.equal((await run([staged, converted])).result.imageDigest, 'sha512:abc');
});

test('a stale read after the staging, or after the request for the import, does not fail the transfer', async () => {
  const running = { ...staged, status: 'importing', properties: task };
  for (const stale of [
    { ...staged, size: null },
    { ...staged, status: 'queued', size: null },
  ])
    assert.equal((await run([stale, staged, staged, running, active])).result.image.status, 'active');
});

const lost = {
  'a 504 from a proxy': new GlanceUnavailable('Glance returned 504', { httpStatus: 504 }),
  'no response': new GlanceConnectionFailed('ECONNRESET', 'GlanceUnreachable', {}),
};

for (const [what, error] of Object.entries(lost)) {
  test(`staged data that gets ${what} is imported when Glance has stored all of it`, async () => {
    const storing = { ...staged, size: null };
    // The proxy has the last bytes, and Glance has not begun.
    const queued = { ...staged, status: 'queued', size: null };
    const { result, requests } = await run([queued, queued, ...Array(200).fill(storing), staged, active], [], error);
    assert.deepEqual([result.image.status, requests.length], ['active', 1]);
    await assert.rejects(run([storing, queued], [], error), error);
    await assert.rejects(run([storing], [], error), error);
  });

  test(`an import whose request gets ${what} is awaited if Glance has begun it`, async () => {
    const running = { ...staged, status: 'importing', properties: task };
    const { result, requests } = await run([staged, running, running, active], [], undefined, error);
    assert.deepEqual([result.image.status, requests.length], ['active', 1]);
    await assert.rejects(run([staged], [], undefined, error), error);
  });
}
