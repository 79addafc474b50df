import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { type Checks, createHealthServer } from '../../src/controller/health.ts';
import { createHeartbeat, createLoopMonitor, idleWorkers, stuckWorkers } from '../../src/controller/liveness.ts';
import { createMetrics } from '../../src/controller/metrics.ts';
import { createQueue } from '../../src/controller/queue.ts';
import type { WatchProgress } from '../../src/kubernetes/watcher.ts';
import { createVirtualClock } from '../clock.ts';

const noMetrics = async () => ({ contentType: 'text/plain', text: 'some_metric 1\n' });

async function serving(checks: { live?: Checks; ready?: Checks }, work: (url: string) => Promise<void>) {
  const { live = {}, ready = {} } = checks;
  const server = createHealthServer({ host: '127.0.0.1', port: 0, live, ready, metrics: noMetrics });
  const stop = new AbortController();
  const ended = server.run(stop.signal);
  const { port } = await server.address;
  try {
    await work(`http://127.0.0.1:${port}`);
  } finally {
    stop.abort();
    await ended;
  }
}

test('a probe succeeds when all its checks succeed, and otherwise names the failed check', async () => {
  let problem: string | undefined;
  const live = {
    watch: () => problem,
    loop: () => undefined,
  };
  await serving({ live }, async (url) => {
    const green = await fetch(`${url}/livez`);
    assert.equal(green.status, 200);
    assert.equal(await green.text(), '[+]watch ok\n[+]loop ok\n');
    problem = 'no heartbeat for 15m';
    const red = await fetch(`${url}/livez?verbose`);
    assert.equal(red.status, 503);
    assert.equal(await red.text(), '[-]watch: no heartbeat for 15m\n[+]loop ok\n');
  });
});

test('without a host, the server listens on every address, for kubelets of IPv4 and IPv6 clusters', async (t) => {
  const server = createHealthServer({ host: '', port: 0, live: {}, ready: {}, metrics: noMetrics });
  const stop = new AbortController();
  const ended = server.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await ended;
  });
  const { port } = await server.address;
  const loopback = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses
      .filter(({ internal }) => internal)
      .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address)),
  );
  assert.ok(loopback.length > 0);
  for (const address of loopback) assert.equal((await fetch(`http://${address}:${port}/livez`)).status, 200, address);
});

test('a check that throws fails its probe and no other', async () => {
  const ready = {
    synced: () => {
      throw new Error('not built');
    },
  };
  await serving({ ready }, async (url) => {
    const red = await fetch(`${url}/readyz`);
    assert.equal(red.status, 503);
    assert.equal(await red.text(), '[-]synced: not built\n');
    assert.equal((await fetch(`${url}/livez`)).status, 200);
  });
});

test('the server serves metrics and returns 404 for other paths', async () => {
  await serving({}, async (url) => {
    assert.equal(await (await fetch(`${url}/metrics`)).text(), 'some_metric 1\n');
    assert.equal((await fetch(`${url}/etc/passwd`)).status, 404);
  });
});

test('a port in use fails the server with a message that names the port', async () => {
  await serving({}, async (url) => {
    const port = Number(new URL(url).port);
    const second = createHealthServer({ host: '127.0.0.1', port, live: {}, ready: {}, metrics: noMetrics });
    await assert.rejects(second.run(new AbortController().signal), /EADDRINUSE/);
    await assert.rejects(second.address, /EADDRINUSE/);
  });
});

test('a heartbeat fails only when beats stop, and recovers with the next beat', async () => {
  const clock = createVirtualClock();
  const heart = createHeartbeat(clock, 60_000);
  await clock.advance(60_000);
  assert.equal(heart.check(), undefined);
  await clock.advance(30_000);
  assert.equal(heart.check(), 'no heartbeat for 1m30s');
  heart.beat();
  assert.equal(heart.check(), undefined);
});

test('waiting keys that no worker takes fail liveness, except in a standby', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 2 });
  let idleSince: number | undefined = 0;
  const workers = {
    run: async () => {},
    idleMs: () => (idleSince === undefined ? undefined : clock.monotonic() - idleSince),
  };
  const check = idleWorkers(workers, queue, 600_000);
  await clock.advance(700_000);
  assert.equal(check(), undefined);
  queue.add('a');
  assert.equal(check(), undefined);
  await clock.advance(600_001);
  assert.match(check() ?? '', /keys are waiting, but no worker has taken one for 10m/);
  idleSince = undefined;
  assert.equal(check(), undefined);
});

test('a worker that hangs fails liveness', async () => {
  const clock = createVirtualClock();
  const queue = createQueue({ clock, workers: 2 });
  const check = stuckWorkers(queue, 600_000);
  queue.add('a');
  await queue.take(new AbortController().signal);
  await clock.advance(600_000);
  assert.equal(check(), undefined);
  await clock.advance(1000);
  assert.match(check() ?? '', /running for 10m/);
  queue.done('a');
  assert.equal(check(), undefined);
});

test('an event loop that is late repeatedly fails liveness; a single delay does not', async () => {
  const clock = createVirtualClock();
  let lagMs = 0;
  const late = { ...clock, sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms + lagMs, signal) };
  const monitor = createLoopMonitor(late, 5000);
  const stop = new AbortController();
  const ended = monitor.run(stop.signal);
  lagMs = 6000;
  await clock.advance(1000);
  await clock.advance(7000);
  assert.equal(monitor.check(), undefined);
  await clock.advance(14_000);
  assert.match(monitor.check() ?? '', /repeatedly late/);
  lagMs = 0;
  await clock.advance(8000);
  assert.equal(monitor.check(), undefined);
  stop.abort(new Error('over'));
  await assert.rejects(ended, /over/);
});

test('metrics have the names of controller-runtime and exist from the start', async () => {
  const clock = createVirtualClock();
  const metrics = createMetrics(clock);
  metrics.controller({ name: 'glanceimage', workers: 4 });
  const { text } = await metrics.render();
  for (const line of [
    'controller_runtime_reconcile_total{controller="glanceimage",result="error"} 0',
    'controller_runtime_reconcile_errors_total{controller="glanceimage"} 0',
    'controller_runtime_max_concurrent_reconciles{controller="glanceimage"} 4',
    'controller_runtime_active_workers{controller="glanceimage"} 0',
    'workqueue_adds_total{name="glanceimage",controller="glanceimage"} 0',
    'workqueue_retries_total{name="glanceimage",controller="glanceimage"} 0',
  ])
    assert.ok(text.includes(line), `${line} is missing in\n${text}`);
});

test('metrics follow the queue, the workers, the calls and the watches', async () => {
  const clock = createVirtualClock();
  const metrics = createMetrics(clock);
  const own = metrics.controller({ name: 'c', workers: 1 });
  const queue = createQueue({ clock, workers: 2, observer: own.queue });
  own.measure(queue);
  queue.add('a');
  queue.add('b', 'periodic');
  await queue.take(new AbortController().signal);
  await clock.advance(2000);
  own.workers.started();
  own.workers.ended('error', 2000);
  metrics.request({ method: 'GET', host: 'api', code: '200', durationMs: 12 });
  const { moved, missed } = metrics.watch('secrets');
  const onProgress: (progress: WatchProgress) => void = moved;
  onProgress({ kind: 'listed', objects: 3 });
  onProgress({ kind: 'connected' });
  onProgress({ kind: 'failed', reason: 'Expired' });
  onProgress({ kind: 'connected' });
  missed();
  const { text } = await metrics.render();
  for (const line of [
    'workqueue_depth{name="c",controller="c",priority="periodic"} 1',
    'workqueue_depth{name="c",controller="c",priority="fresh"} 0',
    'workqueue_adds_total{name="c",controller="c"} 2',
    'workqueue_longest_running_processor_seconds{name="c",controller="c"} 2',
    'workqueue_unfinished_work_seconds{name="c",controller="c"} 2',
    'controller_runtime_reconcile_total{controller="c",result="error"} 1',
    'rest_client_requests_total{code="200",method="GET",host="api"} 1',
    'watch_connected{resource="secrets"} 1',
    'watch_listed_objects{resource="secrets"} 3',
    'watch_restarts_total{resource="secrets",reason="Expired"} 1',
    'watch_missed_changes_total{resource="secrets"} 1',
  ])
    assert.ok(text.includes(line), `${line} is missing in\n${text}`);
});
