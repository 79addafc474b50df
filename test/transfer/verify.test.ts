import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ImageNotFound } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { type ErrorCode, retryOf } from '../../src/lib/error-codes.ts';
import { runTransfer } from '../../src/transfer/engine.ts';
import { executorOf } from '../../src/transfer/executor.ts';
import { TransferPlan } from '../../src/transfer/plan.ts';
import { createScheduler } from '../../src/transfer/scheduler.ts';
import { verificationOf } from '../../src/transfer/verify.ts';
import { createVirtualClock } from '../clock.ts';
import { digestOf, generated } from '../env/content.ts';
import { patience } from '../env/wait.ts';
import { planOf } from './plans.ts';
import { useScene } from './real.ts';
import { createSink, sourceOf } from './sink.ts';

const mib = 2 ** 20;
const body = generated(3 * mib).slice(0, 3 * mib);
const sha256 = `sha256:${digestOf(body)}`;
const sha512 = `sha512:${digestOf(body, 'sha512')}`;
const other = `sha256:${'0'.repeat(64)}`;

/** The plan to verify an image, which the schema admits. */
function planFor(imageID: string, { digest = sha256, ...options }: Parameters<typeof planOf>[0] = {}): TransferPlan {
  return TransferPlan.parse(verificationOf(planOf({ imageID, ...options }), digest));
}

describe('the verification of an image in the real Glance', () => {
  const scene = useScene();

  const run = (plan: TransferPlan) => {
    const access = { ...scene().access, source: { cloud: scene().access.cloud } };
    return scene().executor.run(plan, access, { signal: patience(), onProgress: () => {} });
  };
  const image = async (fields: Record<string, unknown> = {}) => (await scene().project.createImage(fields, body)).id;

  test('an image with the declared digest is verified, and nothing is written', async () => {
    const id = await image();
    const result = await run(planFor(id));
    assert.deepEqual(
      [result.bytes, result.digest, result.imageDigest, result.format, result.image.status, result.url],
      [body.length, sha256, sha512, 'raw', 'active', `glance://${id}`],
    );
    const requests = scene().glance.requests.filter(({ path }) => path.includes(id));
    assert.deepEqual(
      requests.map(({ method, path }) => `${method} ${path.slice(path.indexOf(id) + id.length)}`),
      ['GET ', 'GET /file', 'GET '],
    );
  });

  test('an image with another digest, or in another format, is wrong', async () => {
    const id = await image();
    const wrong = (code: ErrorCode) => ({ code, retry: retryOf(code, undefined) });
    await assert.rejects(run(planFor(id, { digest: other })), wrong('DigestMismatch'));
    await assert.rejects(run(planFor(id, { diskFormat: 'qcow2' })), wrong('FormatMismatch'));
  });

  test('a deactivated image is not readable', async () => {
    const id = await image();
    (await scene().project.image('POST', `/v2/images/${id}/actions/deactivate`)).ok();
    await assert.rejects(run(planFor(id)), { code: 'SourceDeactivated' });
  });

  test('a download that a policy forbids is not readable', async () => {
    const id = await image();
    scene().glance.on({
      matches: ({ path }) => path.endsWith(`${id}/file`),
      fault: { kind: 'answer', status: 403, body: 'You are not authorized' },
    });
    await assert.rejects(run(planFor(id)), { code: 'SourceForbidden', httpStatus: 403 });
  });

  test('an image that does not exist is gone, and one that is deleted during the read too', async () => {
    await assert.rejects(run(planFor('6b1fd7a2-0000-4000-8000-00000000dead')), { code: 'SourceNotFound' });
    const id = await image();
    const deleted = scene().project;
    const reads = Promise.withResolvers<void>();
    scene().glance.on({
      matches: ({ method, path }) => method === 'GET' && path.endsWith(id),
      skip: 1,
      fault: { kind: 'hold', released: reads.promise },
    });
    scene().glance.on({
      matches: ({ path }) => path.endsWith(`${id}/file`),
      fault: {
        kind: 'afterAnswer',
        run: () => reads.resolve(deleted.image('DELETE', `/v2/images/${id}`).then(() => {})),
      },
    });
    await assert.rejects(run(planFor(id)), { code: 'ImageGone' });
  });

  test('a broken download is resumed', async () => {
    const id = await image();
    scene().glance.on({
      matches: ({ path }) => path.endsWith(`${id}/file`),
      fault: { kind: 'truncate', bytes: mib },
      times: 1,
    });
    const result = await run(planFor(id));
    assert.deepEqual([result.resumes, result.digest], [1, sha256]);
  });
});

describe('the verification of an image', () => {
  async function run(found: Partial<Image> | Error, wanted = plan): Promise<unknown> {
    const target = createSink();
    target.images.get = async () => {
      if (found instanceof Error) throw found;
      return { ...(await createSink().images.get('', new AbortController().signal)), id: plan.imageID, ...found };
    };
    const signal = new AbortController().signal;
    const openSource = sourceOf([body]);
    return runTransfer(wanted, { openSource, target, clock: createVirtualClock(), onProgress: () => {}, signal });
  }
  const plan = planFor('6b1fd7a2-0000-4000-8000-000000000000');

  test('an image that is another one after the read than before is read again', async () => {
    const same = { status: 'active', size: body.length };
    await run(same);
    for (const changed of [
      { ...same, size: 7 },
      { ...same, hash: { algorithm: 'sha512', value: 'abc' } },
    ])
      await assert.rejects(run(changed), { code: 'SourceChanged', retry: { kind: 'backoff' } });
    await assert.rejects(run(new ImageNotFound('404', {})), { code: 'ImageGone', retry: { kind: 'backoff' } });
  });

  test('an image is not called right if nothing was compared: without a declared digest, and without one of Glance', async () => {
    const undeclared = TransferPlan.parse(verificationOf(planOf({ imageID: plan.imageID }), undefined));
    const found = { status: 'active', size: body.length };
    const hash = { algorithm: 'sha512', value: digestOf(body, 'sha512') };
    await run({ ...found, hash }, undeclared);
    for (const incomparable of [
      { ...found, hash: null, checksum: null },
      { ...found, hash: { algorithm: 'blake2b', value: 'abc' }, checksum: null },
    ])
      await assert.rejects(run(incomparable, undeclared), { code: 'NotVerifiable' });
  });

  test('the schema of a plan admits only the image itself as the source', () => {
    for (const wrong of [{ image: 'another' }, { cloud: { secretRef: { name: 'other' }, name: 'demo' } }]) {
      const source = { ...plan.source, ...wrong };
      assert.equal(TransferPlan.safeParse({ ...plan, source }).success, false);
    }
    assert.equal(TransferPlan.safeParse({ ...plan, decompress: 'Auto' }).success, false);
    assert.equal(TransferPlan.safeParse({ ...plan, digestOf: 'Served' }).success, false);
  });

  test('verifications of one cloud count as transfers from one host, for any number of Secrets', () => {
    const started: string[] = [];
    const scheduler = createScheduler({
      executor: executorOf(({ imageID }) => {
        started.push(imageID);
        return new Promise(() => {});
      }),
      limits: { total: 9, perNamespace: 9, perCloud: 9, perHost: 1 },
      clock: createVirtualClock(),
      onChange: () => {},
    });
    for (const name of ['a', 'b']) {
      const cloud = { secretRef: { name }, name: 'demo' };
      const source = { kind: 'glance' as const, image: plan.imageID, cloud };
      scheduler.start(name, { ...plan, source, cloud: { ...plan.cloud, ...cloud, namespace: name } });
    }
    assert.equal(started.length, 1);
  });
});
