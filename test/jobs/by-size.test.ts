import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { createTrust } from '../../src/http/trust.ts';
import { createExecutorBySize, createSizeOf } from '../../src/jobs/by-size.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createSessionPool } from '../../src/openstack/pool.ts';
import { type Executor, RunDetached } from '../../src/transfer/executor.ts';
import type { TransferPlan } from '../../src/transfer/plan.ts';
import { createVirtualClock } from '../clock.ts';
import { serve } from '../openstack/stub.ts';
import { planOf, resultOf } from '../transfer/plans.ts';
import { settle } from '../transfer/schedulers.ts';

const mebibyte = 2 ** 20;
const never = new AbortController().signal;

/** Ends each run at once, with its own name as the URL of the result. */
function named(name: string, attached: string[] = []): Executor {
  return {
    start: () => ({ ended: Promise.resolve({ ...resultOf(1), url: name }) }),
    async attach() {
      attached.push(name);
      return [];
    },
  };
}

interface Scene {
  size?: (plan: TransferPlan, signal: AbortSignal) => Promise<number | undefined>;
  mayCreate?: boolean;
  /** Once the API server has responded. */
  hasRights?: boolean;
}

function executorWith({ size = async () => 1, mayCreate = true, hasRights = mayCreate }: Scene) {
  const attached: string[] = [];
  const sized: TransferPlan[] = [];
  const executor = createExecutorBySize({
    thread: named('thread', attached),
    jobs: named('Job', attached),
    above: mebibyte,
    sizeOf(plan, signal) {
      sized.push(plan);
      return size(plan, signal);
    },
    rights: { mayCreate: async () => mayCreate, whenKnown: async () => hasRights },
  });
  return { executor, attached, sized };
}

async function chosen(scene: Scene, plan = planOf()): Promise<string> {
  const { executor } = executorWith(scene);
  const { url } = await executor.start({ key: 'team/a', plan }, { signal: never, onProgress: () => {} }).ended;
  return url;
}

describe('the choice between a Job and the thread', () => {
  const sizes: [string, number | undefined, string][] = [
    ['of exactly the size', mebibyte, 'thread'],
    ['one byte larger', mebibyte + 1, 'Job'],
    ['that is empty', 0, 'thread'],
    ['without an announced length', undefined, 'Job'],
  ];
  for (const [what, size, where] of sizes)
    test(`a file ${what} is transferred by the ${where}`, async () => {
      assert.equal(await chosen({ size: async () => size }), where);
    });

  test('an image that is read back is transferred by a Job where it is large, as any other', async () => {
    const plan = planOf({
      method: 'Verify',
      digestOf: 'Image',
      decompress: 'None',
      source: { kind: 'glance', image: planOf().imageID, cloud: { secretRef: { name: 'openstack' }, name: 'demo' } },
    });
    assert.equal(await chosen({ size: async () => mebibyte + 1 }, plan), 'Job');
    assert.equal(await chosen({ size: async () => 5 }, plan), 'thread');
  });

  test('a transfer that signs in with tokens of a ServiceAccount is left to the thread, because no pod gets them', async () => {
    const size = async () => undefined;
    const own = planOf();
    assert.equal(await chosen({ size }, { ...own, cloud: { ...own.cloud, serviceAccountName: 'images' } }), 'thread');
    const cloud = { secretRef: { name: 'openstack' }, name: 'demo', serviceAccountName: 'images' };
    const copied = planOf({ source: { kind: 'glance', image: own.imageID, cloud } });
    assert.equal(await chosen({ size }, copied), 'thread');
  });

  test('a source that fails when its size is read is left to the thread, which reports the failure', async () => {
    const size = async () => Promise.reject(new OperatorError('it responded with 404', { code: 'SourceNotFound' }));
    assert.equal(await chosen({ size }), 'thread');
  });

  test('without rights for Jobs each file is transferred by the thread, and its size is not read', async () => {
    const { executor, attached, sized } = executorWith({ size: async () => undefined, mayCreate: false });
    const run = { key: 'team/a', plan: planOf() };
    assert.equal((await executor.start(run, { signal: never, onProgress: () => {} }).ended).url, 'thread');
    await executor.attach(never);
    assert.deepEqual([sized, attached], [[], []]);
  });

  test('Jobs of earlier processes are looked for although the rights are not known at first', async () => {
    const { executor, attached } = executorWith({ mayCreate: false, hasRights: true });
    await executor.attach(never);
    assert.deepEqual(attached, ['Job']);
  });

  test('a run that is cancelled while its size is read starts nowhere', async () => {
    const cancel = new AbortController();
    const { executor } = executorWith({
      size: (_plan, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    });
    const { ended } = executor.start(
      { key: 'team/a', plan: planOf() },
      { signal: cancel.signal, onProgress: () => {} },
    );
    await settle();
    cancel.abort(new Error('cancelled'));
    await assert.rejects(ended, /cancelled/);
  });
});

test('a run whose size is still read is left to the next process by a stop, and starts nowhere', async () => {
  const { executor } = executorWith({
    size: (_plan, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  });
  const execution = executor.start({ key: 'team/a', plan: planOf() }, { signal: never, onProgress: () => {} });
  await settle();
  execution.durable?.detach();
  await assert.rejects(execution.ended, RunDetached);
});

test('a stop of the process reaches a run at every moment of its decision', async () => {
  for (let moments = 0; moments < 20; moments++) {
    const ended = Promise.withResolvers<never>();
    const detach = () => ended.reject(new RunDetached());
    const jobs: Executor = {
      ...named('Job'),
      start: () => ({ ended: ended.promise, durable: { detach, release() {} } }),
    };
    const rights = { mayCreate: async () => true, whenKnown: async () => true };
    const sizeOf = async () => mebibyte + 1;
    const executor = createExecutorBySize({ thread: named('thread'), jobs, above: mebibyte, sizeOf, rights });
    const execution = executor.start({ key: 'team/a', plan: planOf() }, { signal: never, onProgress: () => {} });
    let error: unknown;
    execution.ended.catch((reason: unknown) => {
      error = reason;
    });
    for (let passed = 0; passed < moments; passed++) await Promise.resolve();
    execution.durable?.detach();
    await settle();
    assert(error instanceof RunDetached, `after ${moments} moments`);
  }
});

test('a run of the thread is not durable once it is decided', async () => {
  const { executor } = executorWith({ size: async () => 1 });
  const execution = executor.start({ key: 'team/a', plan: planOf() }, { signal: never, onProgress: () => {} });
  await execution.ended;
  assert.equal(execution.durable, undefined);
});

describe('the size of a file', () => {
  const policy = createEgressPolicy({ allow: ['127.0.0.1'], deny: [] });
  const sessions = createSessionPool<never>({
    clock: systemClock,
    open: () => assert.fail('no cloud is needed'),
    attach: () => assert.fail('no cloud is needed'),
    idleMs: 0,
  });
  after(() => sessions.close());

  const sizeOf = (clock = systemClock) =>
    createSizeOf({
      egress: { sources: policy, clouds: policy },
      trust: createTrust(),
      sessions,
      readAccess: async () => ({ cloud: { cloudsYaml: 'clouds: {}' }, source: {} }),
      clock,
      random: () => 0.5,
    });
  const source = (t: TestContext, headers: Record<string, string>, path: string) =>
    serve(t, (_request, response) => {
      response.writeHead(200, headers);
      response.write('x');
    }).then((origin) => planOf({ url: `${origin}${path}` }));

  test('the size of a file is the length that its server announces, compressed or not, and its body is not read', async (t) => {
    for (const path of ['/image.raw', '/image.raw.xz']) {
      const plan = await source(t, { 'content-length': '5000000000' }, path);
      assert.equal(await sizeOf()(plan, never), 5_000_000_000);
    }
  });

  test('the size of a file without an announced length is unknown', async (t) => {
    assert.equal(await sizeOf()(await source(t, {}, '/image.raw'), never), undefined);
  });

  test('the size of a file whose server does not respond is given up after half a minute', async (t) => {
    const arrived = Promise.withResolvers<void>();
    const origin = await serve(t, () => arrived.resolve());
    const clock = createVirtualClock();
    const size = sizeOf(clock)(planOf({ url: `${origin}/image.raw` }), never);
    const rejected = assert.rejects(size, /the source did not respond in time/);
    await arrived.promise;
    await clock.advance(30_000);
    await rejected;
  });
});
