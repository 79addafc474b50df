import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isOfTheProcess } from '../../src/generate/tables.ts';
import { raw } from '../env/images.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { ask, sampleOf, scrape } from './scrape.ts';
import { World } from './world.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/reference/monitoring.md'), 'utf8');

/** The table of the documentation: name, type, labels and help of each metric. */
function documented() {
  const rows = page.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([^|]*) \| (.*) \|$/gm);
  return [...rows].map(([, name = '', type = '', labels = '', help = '']) => ({
    name,
    type,
    labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label = '']) => label),
    help,
  }));
}

describe('metrics, logs and probes of a running operator', () => {
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    const stack = await connectStack();
    glance = await startProxy({ url: stack.openstack.imageUrl });
    // With leader election, so that every metric exists.
    const flags = ['--log-level', 'debug', '--leader-elect=true', '--lease-name', 'told'];
    world = await World.create({ stack, clouds: { imageUrl: glance.url }, flags });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await glance[Symbol.asyncDispose]();
  });

  test('every series with known labels exists from the start with value 0', async () => {
    const metrics = await scrape(world);
    const zeros: [string, Record<string, string>][] = [
      ['controller_runtime_reconcile_total', { controller: 'glanceimage', result: 'error' }],
      ['controller_runtime_reconcile_timeouts_total', {}],
      ['glance_image_operator_drift_corrected_total', {}],
      ['glance_image_operator_image_status', { condition: 'Stalled', status: 'True' }],
      ['glance_image_operator_images', { reason: 'QuotaExceeded' }],
      ['glance_image_operator_transfers_total', { result: 'failed' }],
      ['glance_image_operator_transfer_failures_total', { reason: 'DigestMismatch' }],
      ['glance_image_operator_transfer_phase_duration_seconds_count', { phase: 'queued' }],
      ['glance_image_operator_openstack_requests_total', { service: 'image', operation: 'create', code: '201' }],
      ['glance_image_operator_cloud_sessions', {}],
    ];
    for (const [name, labels] of zeros)
      assert.equal(sampleOf(metrics, name, labels), 0, `${name} ${JSON.stringify(labels)}`);
  });

  test('images, transfers, drift and calls to the cloud are counted', async () => {
    const body = raw(256 * 1024);
    const url = world.source.add('/image.raw', { body });
    const image = { diskFormat: 'raw', properties: { os_distro: 'x' } };
    await world.apply('good', { interval: '10s', image, content: { http: { url, digest: digestOf(body) } } });
    await world.apply('wrong', { image, content: { http: { url, digest: `sha256:${'0'.repeat(64)}` } } });
    const good = await world.ready('good');
    await world.reason('wrong', 'DigestMismatch');
    await world.patchImage(good.status.imageID, [{ op: 'replace', path: '/os_distro', value: 'other' }]);
    await world.untilEvent('DriftCorrected');
    const metrics = await scrape(world);
    const value = (name: string, labels?: Record<string, string>) => sampleOf(metrics, name, labels);
    assert.equal(value('glance_image_operator_image_status', { condition: 'Ready', status: 'True' }), 1);
    assert.equal(value('glance_image_operator_image_status', { condition: 'Ready', status: 'False' }), 1);
    assert.equal(value('glance_image_operator_images', { reason: 'DigestMismatch' }), 1);
    assert.equal(value('glance_image_operator_images'), 2);
    assert.equal(value('glance_image_operator_transfers_total', { result: 'succeeded' }), 1);
    assert.ok((value('glance_image_operator_transfer_failures_total', { reason: 'DigestMismatch' }) ?? 0) >= 1);
    assert.ok((value('glance_image_operator_transfer_bytes_total', { cloud: glance.url }) ?? 0) >= body.length);
    // The wrong one may be on its way again.
    assert.ok((value('glance_image_operator_transfers', { cloud: glance.url, state: 'active' }) ?? 2) <= 1);
    assert.ok(
      (value('glance_image_operator_transfer_phase_duration_seconds_count', { phase: 'transferring' }) ?? 0) >= 1,
    );
    assert.equal(value('glance_image_operator_drift_corrected_total'), 1);
    assert.equal(value('glance_image_operator_cloud_sessions'), 1);
    const posts = glance.requests.filter(({ method, path }) => method === 'POST' && path === '/v2/images').length;
    assert.equal(value('glance_image_operator_openstack_requests_total', { operation: 'create', code: '201' }), posts);
    assert.ok(
      (value('glance_image_operator_openstack_requests_total', { service: 'identity', code: '201' }) ?? 0) >= 1,
    );
    assert.equal(value('watch_connected', { resource: 'glanceimages' }), 1);
  });

  test('the metrics match their documentation in name, type, labels and help', async () => {
    const metrics = await scrape(world);
    const table = documented();
    assert.deepEqual(
      [...metrics]
        .filter(([name]) => !isOfTheProcess(name))
        .map(([name, { type, help }]) => ({ name, type, help }))
        .sort(byName),
      table.map(({ name, type, help }) => ({ name, type, help })).sort(byName),
    );
    for (const { name, labels } of table) {
      for (const sample of metrics.get(name)?.samples ?? []) {
        const used = Object.keys(sample.labels).filter((label) => label !== 'le');
        assert.deepEqual(used.sort(), [...labels].sort(), name);
      }
    }
    const told = table.filter(({ name }) => (metrics.get(name)?.samples.length ?? 0) > 0).length;
    assert.ok(told > 30, `${told} of them have values`);
  });

  test("the id of a reconcile appears in the operator's log and in its requests to Glance", async () => {
    const lines = world.operator.log.map((line): Record<string, unknown> => JSON.parse(line));
    const own = lines.filter(({ reconcileID }) => reconcileID !== undefined);
    const posts = glance.requests.filter(({ method, path }) => method === 'POST' && path === '/v2/images');
    for (const { headers } of posts) {
      const id = headers['x-openstack-request-id'];
      const story = own.filter(({ reconcileID }) => `req-${reconcileID}` === id);
      assert.ok(story.length > 0, `${id} is in no line`);
      for (const { namespace, name } of story) {
        assert.equal(namespace, world.namespace);
        assert.match(String(name), /^(good|wrong)$/);
      }
      assert.ok(
        story.some(({ msg, generation, cloud }) => msg === 'Reconciled' && generation === 1 && cloud === 'demo'),
      );
    }
    const drift = own.filter(({ reason }) => reason === 'DriftCorrected');
    assert.deepEqual(
      drift.map(({ level, name, cloud }) => [level, name, cloud]),
      [['info', 'good', 'demo']],
    );
    const { password } = world.project.accounts.member;
    assert.deepEqual(
      world.operator.log.filter((line) => line.includes(password)),
      [],
    );
  });

  test('probes succeed and name their checks', async () => {
    const live = await ask(world, '/livez');
    assert.equal(live.status, 200, live.text);
    for (const [, check = ''] of page.matchAll(/^\| (?:`\/livez`)? ?\| `([a-z-]+)`/gm))
      assert.ok(live.text.includes(`[+]${check} ok`), check);
    assert.equal((await ask(world, '/readyz')).status, 200);
  });
});

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}
