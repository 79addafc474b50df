/**
 * Each phase of a resource, taken from the real API server, as Flux and Argo CD see it.
 *
 * Invariant: a wait ends when the image is ready; an impossible image fails immediately; and a passing fault is not a
 * failure.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, plural } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { claimPort } from '../operator/closed-port.ts';
import { digestOf } from '../operator/digest.ts';
import { reasonOf, World } from '../operator/world.ts';
import { judge } from './judge.ts';

const body = raw(256 * 1024);
const anyObject = z.record(z.string(), z.unknown());

interface Expected {
  kstatus: 'Current' | 'InProgress' | 'Failed' | 'Terminating';
  argo: 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
  message: RegExp;
}

describe('a resource in the eyes of Flux and Argo CD', () => {
  let world: World;
  let content: { http: { url: string; digest: string } };
  before(async () => {
    world = await World.create({ idle: true });
    content = { http: { url: world.source.add('/image.raw', { body }), digest: digestOf(body) } };
  });
  after(() => world[Symbol.asyncDispose]());

  const image = { diskFormat: 'raw' };
  const filled = (more: Record<string, unknown> = {}) => ({ image, content, ...more });
  const from = (url: string) => ({ image, content: { http: { ...content.http, url } } });

  async function object(name: string): Promise<Record<string, unknown>> {
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/${name}`;
    return (await world.stack.kubernetes.request('GET', path)).as(anyObject);
  }

  /** The object between two attempts; an attempt in progress has its own status. */
  async function objectGiving(name: string, reason: string): Promise<Record<string, unknown>> {
    for (let tries = 0; tries < 100; tries++) {
      await world.reason(name, reason);
      const found = await object(name);
      if (reasonOf(parseGlanceImage(found)) === reason) return found;
    }
    throw new Error(`${name} never stays ${reason}`);
  }

  async function assertJudged(judged: Record<string, unknown>, { kstatus, argo, message }: Expected): Promise<void> {
    const [judgement] = await judge([judged]);
    assert.equal(judgement?.kstatus.status, kstatus, judgement?.kstatus.message);
    assert.equal(judgement?.argo.status, argo, judgement?.argo.message);
    assert.match(judgement?.argo.message ?? '', message);
  }

  /** Asks for another try until so many have failed. */
  async function fail(name: string, attempts: number): Promise<void> {
    for (let tries = 1; tries <= attempts; tries++) {
      await world.annotate(name, 'glance-image-operator.dev/reconcile-at', String(tries));
      await world.until(name, `failed ${tries} times`, ({ status }) => (status.lastError?.attempts ?? 0) >= tries);
    }
  }

  test('a resource that the operator has not seen yet is in progress', async () => {
    await world.apply('unseen', filled());
    await assertJudged(await object('unseen'), {
      kstatus: 'InProgress',
      argo: 'Progressing',
      message: /^Waiting for glance-image-operator/,
    });
    await world.start(['--transfers', '1']);
    await world.ready('unseen');
  });

  test('a resource during its transfer, or waiting for a slot, is in progress', async () => {
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/held.raw', { body, gate: { at: 1024, released: released.promise } });
    await world.apply('moving', from(url));
    await world.reason('moving', 'Transferring');
    // A resource that has a status shows at once that it waits; a new one after half a minute.
    await world.apply('queued', { ...filled(), suspend: true });
    await world.reason('queued', 'Suspended');
    await world.apply('queued', filled());
    await world.reason('queued', 'Queued');
    const wanted = { kstatus: 'InProgress', argo: 'Progressing' } as const;
    await assertJudged(await object('moving'), { ...wanted, message: /^Transferring: transferring the data/ });
    await assertJudged(await object('queued'), { ...wanted, message: /^Queued: .*position 1/ });
    released.resolve();
    await world.ready('queued');
  });

  test('a resource with its declared image is healthy, with the id of the image', async () => {
    await world.apply('done', filled());
    const { status } = await world.ready('done');
    await assertJudged(await object('done'), {
      kstatus: 'Current',
      argo: 'Healthy',
      message: new RegExp(`^Ready: image ${status.imageID} is active`),
    });
  });

  test('a resource without content is healthy once its record exists, with a warning about missing data', async () => {
    await world.apply('record', {});
    await world.ready('record');
    await assertJudged(await object('record'), {
      kstatus: 'Current',
      argo: 'Healthy',
      message: /^RecordOnly: .*neither uploads nor verifies its data \(warning: the image has no data/,
    });
  });

  test('a warning is shown and does not make a resource unhealthy', async () => {
    const md5 = digestOf(body, 'md5');
    await world.apply('weak', { image, content: { http: { ...content.http, digest: md5 } } });
    await world.ready('weak');
    await assertJudged(await object('weak'), { kstatus: 'Current', argo: 'Healthy', message: /\(warning: md5 .*\)$/ });
  });

  test('a resource with a changed spec is in progress, even before the operator sees the change', async () => {
    await world.apply('edited', filled());
    await world.ready('edited');
    world.operator.signal('SIGSTOP');
    await world.apply('edited', filled({ image: { ...image, tags: ['new'] } }));
    const unseen = await object('edited');
    world.operator.signal('SIGCONT');
    await assertJudged(unseen, {
      kstatus: 'InProgress',
      argo: 'Progressing',
      message: /^Waiting for glance-image-operator/,
    });
    await world.ready('edited');
    await assertJudged(await object('edited'), { kstatus: 'Current', argo: 'Healthy', message: /^Ready/ });
  });

  test('a resource is in progress during a roll, failed after one that is impossible, and healthy after the way back', async () => {
    const wanted = { kstatus: 'InProgress', argo: 'Progressing' } as const;
    const healthy = { kstatus: 'Current', argo: 'Healthy', message: /^Ready: image \S+ is active/ } as const;
    const next = raw(256 * 1024, 'the next build');
    const released = Promise.withResolvers<void>();
    const url = world.source.add('/next.raw', { body: next, gate: { at: 1024, released: released.promise } });
    await world.apply('rolled', filled());
    const first = (await world.ready('rolled')).status.imageID;

    await world.apply('rolled', { image, content: { http: { url, digest: digestOf(next) } } });
    const moving = await world.reason('rolled', 'Transferring');
    assert.equal(moving.status.imageID, first);
    await assertJudged(await object('rolled'), { ...wanted, message: /^Transferring/ });
    released.resolve();
    const second = (await world.ready('rolled')).status.imageID;
    assert.notEqual(second, first);
    await assertJudged(await object('rolled'), healthy);

    await world.apply('rolled', { image, content: { http: { ...content.http, digest: digestOf(raw(4096)) } } });
    const failed = await world.reason('rolled', 'DigestMismatch');
    assert.equal(failed.status.imageID, second);
    await assertJudged(await object('rolled'), { kstatus: 'Failed', argo: 'Degraded', message: /^DigestMismatch/ });

    await world.apply('rolled', filled());
    assert.equal((await world.ready('rolled')).status.imageID, first);
    await assertJudged(await object('rolled'), healthy);
  });

  test('a resource in retry is in progress, and degraded for Argo CD after five failures in a row', async () => {
    await world.apply('retried', from(`${world.source.url}/to-come.raw`));
    await assertJudged(await objectGiving('retried', 'SourceNotFound'), {
      kstatus: 'InProgress',
      argo: 'Progressing',
      message: /^SourceNotFound: .*Attempt \d+ failed/,
    });
    await fail('retried', 5);
    await assertJudged(await objectGiving('retried', 'SourceNotFound'), {
      kstatus: 'InProgress',
      argo: 'Degraded',
      message: /Attempt \d+ failed/,
    });
  });

  test('a ready resource is in progress during an outage of its cloud', async () => {
    await world.writeSecret('outage', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('outage', { cloud: { secretRef: { name: 'outage' }, name: 'demo' } });
    await world.ready('outage');
    const authUrl = `http://127.0.0.1:${await claimPort()}/v3`;
    await world.writeSecret('outage', { 'clouds.yaml': await world.project.cloudsYaml({ authUrl }) });
    await world.annotate('outage', 'glance-image-operator.dev/reconcile-at', '1');
    await assertJudged(await objectGiving('outage', 'IdentityUnavailable'), {
      kstatus: 'InProgress',
      argo: 'Progressing',
      message: /^IdentityUnavailable/,
    });
  });

  test('a resource that needs a change of its spec fails immediately with the reason', async () => {
    const other = world.source.add('/other.raw', { body: raw(4096) });
    await world.apply('tampered', from(other));
    await world.reason('tampered', 'DigestMismatch');
    await assertJudged(await object('tampered'), {
      kstatus: 'Failed',
      argo: 'Degraded',
      message: /^DigestMismatch: .*needs a change/,
    });
  });

  test('a resource with a wrong Secret fails immediately', async () => {
    await world.apply('misnamed', { cloud: { secretRef: { name: 'openstack' }, name: 'prod' } });
    await world.reason('misnamed', 'CloudNotFound');
    await assertJudged(await object('misnamed'), { kstatus: 'Failed', argo: 'Degraded', message: /^CloudNotFound/ });
  });

  test('a resource without its Secret is in progress, because objects are applied in any order', async () => {
    await world.apply('early', filled({ cloud: { secretRef: { name: 'late' }, name: 'demo' } }));
    await world.reason('early', 'SecretNotFound');
    await assertJudged(await object('early'), {
      kstatus: 'InProgress',
      argo: 'Progressing',
      message: /^SecretNotFound: there is no Secret "late"/,
    });
    await world.writeSecret('late', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.ready('early');
  });

  test('a suspended resource keeps its health until its spec changes, and Argo CD shows it as suspended', async () => {
    await world.apply('paused', filled());
    await world.ready('paused');
    await world.apply('paused', filled({ suspend: true }));
    await world.reason('paused', 'Suspended');
    await assertJudged(await object('paused'), {
      kstatus: 'Current',
      argo: 'Suspended',
      message: /spec\.suspend is true/,
    });
    await world.apply('paused', filled({ suspend: true, image: { ...image, tags: ['new'] } }));
    await world.until('paused', 'seen', ({ metadata, status }) => status.observedGeneration === metadata.generation);
    await assertJudged(await object('paused'), { kstatus: 'InProgress', argo: 'Suspended', message: /suspend/ });
  });

  test('a resource suspended before it had an image is in progress', async () => {
    await world.apply('unborn', filled({ suspend: true }));
    await world.reason('unborn', 'Suspended');
    await assertJudged(await object('unborn'), { kstatus: 'InProgress', argo: 'Suspended', message: /suspend/ });
  });

  test('a deleted resource is terminating until its image is deleted', async () => {
    await world.writeSecret('going', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.apply('leaving', { cloud: { secretRef: { name: 'going' }, name: 'demo' } });
    await world.ready('leaving');
    // An operator that was restarted has no session that outlives the Secret.
    await world.operator.stop();
    await world.start();
    const secret = `/api/v1/namespaces/${world.namespace}/secrets/going`;
    (await world.stack.kubernetes.request('DELETE', secret)).ok();
    await world.delete('leaving');
    await world.reason('leaving', 'SecretNotFound');
    await assertJudged(await object('leaving'), { kstatus: 'Terminating', argo: 'Progressing', message: /deletion/ });
    await world.writeSecret('going', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.gone('leaving');
  });
});

describe('the health script', () => {
  const metadata = { name: 'odd', namespace: 'default', generation: 2 };
  const seen = (status: unknown) => ({ apiVersion, kind: 'GlanceImage', metadata, spec: {}, status });
  const condition = (type: string, status: string) => ({ type, status, reason: type, message: 'words' });
  const cases: readonly [string, unknown, Expected['argo']][] = [
    ['no status at all', undefined, 'Progressing'],
    ['an empty status', {}, 'Progressing'],
    ['the default of the CRD', { observedGeneration: -1 }, 'Progressing'],
    ['no condition', { observedGeneration: 2, conditions: [] }, 'Progressing'],
    [
      'Ready for an earlier generation',
      { observedGeneration: 1, conditions: [condition('Ready', 'True')] },
      'Progressing',
    ],
    [
      'Ready and Reconciling at once',
      { observedGeneration: 2, conditions: [condition('Ready', 'True'), condition('Reconciling', 'True')] },
      'Progressing',
    ],
    [
      'Ready, and Stalled said to be False',
      { observedGeneration: 2, conditions: [condition('Ready', 'True'), condition('Stalled', 'False')] },
      'Healthy',
    ],
    [
      'Stalled, said before Ready',
      { observedGeneration: 2, conditions: [condition('Stalled', 'True'), condition('Ready', 'False')] },
      'Degraded',
    ],
  ];
  for (const [what, status, argo] of cases) {
    test(`the health script returns ${argo} for ${what}`, async () => {
      const [judgement] = await judge([seen(status)]);
      assert.equal(judgement?.argo.status, argo);
    });
  }
});
