import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { reasons } from '../../src/api/reasons.ts';
import { reasonsPage } from '../../src/generate/reasons-page.ts';
import { createDomainMetrics } from '../../src/image/metrics/domain.ts';
import { failureReasons } from '../../src/image/status/failure.ts';
import type { JobState } from '../../src/jobs/state.ts';
import { createVirtualClock } from '../clock.ts';
import { resultOf } from '../transfer/plans.ts';
import { resourceOf } from './resource.ts';

function metrics() {
  const registry = new Registry();
  const clock = createVirtualClock();
  const domain = createDomainMetrics(registry, () => [], clock);
  domain.clouds.measure(() => 7);
  const has = async (line: string) => {
    const text = await registry.metrics();
    assert.ok(text.split('\n').includes(line), `${line} is not in\n${text}`);
  };
  return { domain, registry, clock, has };
}

test('transfers are counted by cloud, phase, result and reason', async () => {
  const { domain, has } = metrics();
  const { transfers } = domain;
  transfers.counted('https://a', { queued: 2, active: 1 });
  transfers.moved('https://a', 100);
  transfers.moved('https://a', 23);
  transfers.spent('https://a', 'queued', 3000);
  transfers.ended('https://a', { kind: 'succeeded', result: { ...resultOf(1), resumes: 2 } });
  transfers.ended('https://a', { kind: 'failed', code: 'SourceStalled' });
  transfers.ended('https://a', { kind: 'failed', code: 'HttpFailure' });
  transfers.ended('https://a', { kind: 'cancelled' });
  await has('glance_image_operator_transfers{cloud="https://a",state="queued"} 2');
  await has('glance_image_operator_transfers{cloud="https://a",state="active"} 1');
  await has('glance_image_operator_transfer_bytes_total{cloud="https://a"} 123');
  await has('glance_image_operator_transfer_phase_duration_seconds_sum{phase="queued"} 3');
  await has('glance_image_operator_transfers_total{result="succeeded"} 1');
  await has('glance_image_operator_transfers_total{result="failed"} 2');
  await has('glance_image_operator_transfers_total{result="cancelled"} 1');
  await has('glance_image_operator_transfer_failures_total{reason="SourceStalled"} 1');
  await has('glance_image_operator_transfer_failures_total{reason="InternalError"} 1');
  await has('glance_image_operator_transfer_resumes_total 2');
});

test('the number of cloud series is bounded, and further clouds are counted together', async () => {
  const { domain, registry, has } = metrics();
  for (let i = 0; i < 1000; i++) {
    domain.transfers.counted(`https://cloud-${i}`, { queued: 1, active: 0 });
    domain.transfers.moved(`https://cloud-${i}`, 1);
  }
  const text = await registry.metrics();
  assert.equal(
    text.split('\n').filter((line) => line.startsWith('glance_image_operator_transfer_bytes_total{')).length,
    101,
  );
  await has('glance_image_operator_transfers{cloud="other",state="queued"} 900');
  await has('glance_image_operator_transfer_bytes_total{cloud="other"} 900');
  domain.transfers.counted('https://cloud-999', { queued: 0, active: 1 });
  await has('glance_image_operator_transfers{cloud="other",state="queued"} 899');
  await has('glance_image_operator_transfers{cloud="other",state="active"} 1');
});

test('a cloud without transfers gives way to one that has some', async () => {
  const { domain, registry, has } = metrics();
  for (let i = 0; i < 100; i++) domain.transfers.counted(`https://tenant-${i}`, { queued: 1, active: 0 });
  domain.transfers.counted('https://tenant-7', { queued: 0, active: 0 });
  domain.transfers.counted('https://new', { queued: 0, active: 1 });
  domain.transfers.moved('https://new', 5);
  await has('glance_image_operator_transfers{cloud="https://new",state="active"} 1');
  await has('glance_image_operator_transfer_bytes_total{cloud="https://new"} 5');
  assert.ok(!(await registry.metrics()).includes('tenant-7"'));
});

test('requests to clouds have as many series as the program knows operations, whatever codes a server invents', async () => {
  const { domain, registry, has } = metrics();
  for (let code = 100; code < 1000; code++)
    domain.clouds.exchange({ purpose: { service: 'image', operation: 'read' }, code: String(code), durationMs: 1 });
  await has('glance_image_operator_openstack_requests_total{service="image",operation="read",code="503"} 1');
  await has('glance_image_operator_openstack_requests_total{service="image",operation="read",code="5xx"} 95');
  const series = (await registry.metrics())
    .split('\n')
    .filter((line) => line.startsWith('glance_image_operator_openstack_requests_total{'));
  assert.ok(series.length < 45, `${series.length} series`);
});

test('the caches of a hundred clouds have series of their own, and closed ones have none', async () => {
  const { domain, registry, has } = metrics();
  const lines = async () => (await registry.metrics()).split('\n').filter((line) => /_cache_\w+\{cloud=/.test(line));
  const caches = Array.from({ length: 1000 }, (_, i) => domain.cache(`https://evil/${i}`));
  for (const cache of caches) cache.listed({ full: true, images: 1, kept: 1, durationMs: 1 });
  // Four of lists, and two gauges.
  assert.equal((await lines()).length, 100 * 6 + 4);
  await has('glance_image_operator_cache_lists_total{cloud="other",list="full",result="succeeded"} 900');
  for (const cache of caches) cache.closed();
  assert.equal((await lines()).length, 4, 'only those of "other" are left');
});

test('two caches of one name share their series until both are closed', async () => {
  const { domain, registry } = metrics();
  const [one, two] = [domain.cache('https://a/p'), domain.cache('https://a/p')];
  one.closed();
  assert.ok((await registry.metrics()).includes('cloud="https://a/p"'));
  two.closed();
  assert.ok(!(await registry.metrics()).includes('cloud="https://a/p"'));
});

test('a cache reports its age until it is closed', async () => {
  const { domain, registry, clock, has } = metrics();
  const cache = domain.cache('https://a/p1');
  await has('glance_image_operator_cache_lists_total{cloud="https://a/p1",list="full",result="failed"} 0');
  cache.listed({ full: true, images: 15, kept: 12, durationMs: 5 });
  const at = clock.now().getTime() / 1000;
  await clock.advance(60_000);
  cache.failed({ full: false, error: new Error('unreachable') });
  cache.lookedUp('unlisted');
  await has(`glance_image_operator_cache_last_list_timestamp_seconds{cloud="https://a/p1"} ${at}`);
  await has('glance_image_operator_cache_images{cloud="https://a/p1"} 12');
  cache.listed({ full: true, images: 12, kept: 12, unused: 3, durationMs: 5 });
  cache.listed({ full: false, images: 1, kept: 12, durationMs: 5 });
  await has('glance_image_operator_unclaimed_images{cloud="https://a/p1"} 3');
  await has('glance_image_operator_cache_lists_total{cloud="https://a/p1",list="changes",result="failed"} 1');
  await has('glance_image_operator_cache_lookups_total{result="unlisted"} 1');
  cache.closed();
  assert.doesNotMatch(await registry.metrics(), /^glance_image_operator_(cache|unclaimed)_images\{/m);
});

test('gauges are read at the time of the scrape', async () => {
  const { has } = metrics();
  await has('glance_image_operator_cloud_sessions 7');
});

test('every failure has a remedy on the page of reasons', () => {
  const rows = reasonsPage()
    .split('\n')
    .filter((line) => line.startsWith('| <a'));
  assert.equal(rows.length, Object.keys(reasons).length);
  for (const reason of failureReasons) {
    const cells = rows.find((row) => row.includes(`\`${reason}\``))?.split(' | ');
    assert.ok((cells?.at(-1) ?? '').length > 10, reason);
  }
});

test('revisions are counted by state, and newer files of publishers by what becomes of them', async () => {
  const registry = new Registry();
  const condition = (type: 'Ready' | 'Updating', status: 'True' | 'False') => ({
    type,
    status,
    reason: 'Progressing' as const,
    message: '',
    observedGeneration: 1,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  const resource = (revisions: readonly ('Pending' | 'Current' | 'Retired' | 'InUse')[], status?: 'True' | 'False') =>
    resourceOf({
      status: {
        revisions: revisions.map((state, number) => ({ state, number, imageID: `image-${number}` })),
        conditions: [condition('Ready', 'True'), ...(status === undefined ? [] : [condition('Updating', status)])],
      },
    });
  const resources = [
    resource(['Current']),
    resource(['Retired', 'Current', 'Pending'], 'True'),
    resource(['InUse', 'Current'], 'False'),
    resource(['Current'], 'False'),
  ];
  const items = resources.map((object) => ({ kind: 'readable' as const, object }));
  createDomainMetrics(registry, () => items, createVirtualClock());
  const text = await registry.metrics();
  const samples = [...text.matchAll(/^(glance_image_operator_(?:revisions|updates)\{.*)$/gm)].map(([line]) => line);
  assert.deepEqual(samples, [
    'glance_image_operator_revisions{state="Pending"} 1',
    'glance_image_operator_revisions{state="Current"} 4',
    'glance_image_operator_revisions{state="Retired"} 1',
    'glance_image_operator_revisions{state="InUse"} 1',
    'glance_image_operator_updates{state="Progressing"} 1',
    'glance_image_operator_updates{state="Failed"} 2',
  ]);
});

test('the Jobs of transfers are counted by their state at each scrape, and are none without Jobs', async () => {
  const { domain, registry } = metrics();
  const samples = async () =>
    [...(await registry.metrics()).matchAll(/^glance_image_operator_transfer_jobs\{state="(\w+)"\} (\d+)$/gm)].map(
      ([, state, count]) => `${state} ${count}`,
    );
  const none: Readonly<Record<JobState['kind'], 0>> = { suspended: 0, waiting: 0, running: 0, ended: 0, lost: 0 };
  const states = Object.entries(none).map(([state, count]) => `${state} ${count}`);
  assert.deepEqual(await samples(), states);
  domain.jobs.follow(() => ['running', 'lost', 'running']);
  assert.deepEqual(await samples(), ['suspended 0', 'waiting 0', 'running 2', 'ended 0', 'lost 1']);
});
