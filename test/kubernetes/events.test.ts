import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { createClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { createEventRecorder } from '../../src/kubernetes/events.ts';
import { microTime } from '../../src/kubernetes/resource.ts';
import type { ApiTransport } from '../../src/kubernetes/transport.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { thing } from './things.ts';

const sentSchema = z.looseObject({
  metadata: z.object({ name: z.string(), namespace: z.string() }),
  note: z.string(),
  eventTime: z.string(),
  series: z.unknown().optional(),
});

function setup(failWith?: () => Error | undefined) {
  const clock = createVirtualClock();
  const created: z.output<typeof sentSchema>[] = [];
  const patched: unknown[] = [];
  const transport: ApiTransport = {
    server: 'http://server',
    namespace: 'default',
    close: async () => {},
    now: clock.now,
    async *stream() {},
    async request({ method, path, body }) {
      const error = failWith?.();
      if (error) throw error;
      if (method === 'POST') created.push(sentSchema.parse(body));
      else patched.push([path.split('/').at(-1), body]);
      return thing('an-event', '1');
    },
  };
  const recorder = createEventRecorder({
    client: createClient(transport),
    reportingController: 'glance-image-operator',
    reportingInstance: 'pod-1',
    clock,
    random: () => 0.5,
    log: silentLogger,
  });
  const stop = new AbortController();
  const halt = new AbortController();
  const ended = recorder.run(stop.signal, halt.signal);
  return { clock, created, patched, recorder, stop, halt, ended };
}

const failed = { type: 'Warning', reason: 'QuotaExceeded', action: 'Upload', note: 'Glance returned 413' } as const;

test('an event has the form that events.k8s.io wants', async () => {
  const { clock, created, recorder, stop, ended } = setup();
  recorder.record(thing('ubuntu', '7'), failed);
  await clock.advance(0);
  const [event] = created;
  assert.match(event?.metadata.name ?? '', /^ubuntu\.[0-9a-f]+$/);
  assert.deepEqual(
    { ...event, metadata: { namespace: event?.metadata.namespace } },
    {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: 'default' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'glance-image-operator',
      reportingInstance: 'pod-1',
      ...failed,
      regarding: {
        apiVersion: 'example.com/v1',
        kind: 'Thing',
        namespace: 'default',
        name: 'ubuntu',
        uid: 'uid-ubuntu',
        resourceVersion: '7',
      },
    },
  );
  stop.abort();
  await ended;
});

test('what repeats within six minutes is counted in one event, and later is a new one', async () => {
  const { clock, created, patched, recorder, stop, ended } = setup();
  recorder.record(thing('a', '1'), failed);
  await clock.advance(60_000);
  recorder.record(thing('a', '2'), failed);
  await clock.advance(60_000);
  assert.equal(created.length, 1);
  const series = { count: 2, lastObservedTime: '2026-01-01T00:01:00.000000Z' };
  const name = created[0]?.metadata.name;
  assert.deepEqual(patched, [
    [
      name,
      [
        { op: 'test', path: '/metadata/name', value: name },
        { op: 'add', path: '/series', value: series },
      ],
    ],
  ]);
  recorder.record(thing('a', '2'), { ...failed, note: 'Glance returned 503' });
  await clock.advance(7 * 60_000);
  recorder.record(thing('a', '2'), failed);
  await clock.advance(0);
  assert.equal(created.length, 3);
  stop.abort();
  await ended;
});

test('an event that has expired in the cluster is sent again', async () => {
  let error: Error | undefined;
  const { clock, created, recorder, stop, ended } = setup(() => {
    const once = error;
    error = undefined;
    return once;
  });
  recorder.record(thing('a', '1'), failed);
  await clock.advance(1000);
  error = new KubernetesError('gone', { reason: 'NotFound', httpStatus: 404 });
  recorder.record(thing('a', '1'), failed);
  await clock.advance(1000);
  assert.equal(created.length, 2);
  assert.deepEqual(created[1]?.series, { count: 2, lastObservedTime: '2026-01-01T00:00:01.000000Z' });
  stop.abort();
  await ended;
});

test('an event with a lost response is counted in place instead of being created again', async () => {
  const errors = [
    new KubernetesError('reset', { reason: 'Unreachable' }),
    new KubernetesError('there', { reason: 'AlreadyExists', httpStatus: 409 }),
  ];
  const { clock, created, patched, recorder, stop, ended } = setup(() => errors.shift());
  recorder.record(thing('a', '1'), failed);
  await clock.advance(1000);
  recorder.record(thing('a', '1'), failed);
  await clock.advance(1000);
  assert.equal(created.length, 0);
  assert.equal(patched.length, 1);
  recorder.record(thing('a', '1'), failed);
  await clock.advance(1000);
  assert.equal(created.length, 0);
  assert.equal(patched.length, 2);
  stop.abort();
  await ended;
});

test('one object can say so much and no more, and others are not affected', async () => {
  const { clock, created, recorder, stop, ended } = setup();
  for (let i = 0; i < 100; i++) recorder.record(thing('noisy', '1'), { ...failed, note: `note ${i}` });
  recorder.record(thing('quiet', '1'), failed);
  await clock.advance(0);
  assert.equal(created.length, 26);
  await clock.advance(10 * 60_000);
  for (let i = 0; i < 100; i++) recorder.record(thing('noisy', '1'), { ...failed, note: `later ${i}` });
  await clock.advance(0);
  assert.equal(created.length, 28);
  stop.abort();
  await ended;
});

test('events that cannot be sent are dropped beyond a bound, and recording never throws', async () => {
  const { clock, created, recorder, stop, ended } = setup(() => new Error('the server is away'));
  for (let i = 0; i < 5000; i++) recorder.record(thing(`object-${i}`, '1'), failed);
  await clock.advance(0);
  stop.abort();
  await ended;
  assert.equal(created.length, 0);
});

test('a note is cut to 1 kB between characters', async () => {
  const { clock, created, recorder, stop, ended } = setup();
  recorder.record(thing('a', '1'), { ...failed, note: 'ü'.repeat(2000) });
  await clock.advance(0);
  const note = created[0]?.note ?? '';
  assert.ok(Buffer.byteLength(note) <= 1024);
  assert.match(note, /^ü+…$/);
  stop.abort();
  await ended;
});

test('after a stop recorded events are still sent, after a halt none is', async () => {
  const first = setup();
  first.recorder.record(thing('a', '1'), failed);
  first.stop.abort();
  await first.ended;
  assert.equal(first.created.length, 1);
  const second = setup();
  second.halt.abort();
  second.recorder.record(thing('a', '1'), failed);
  second.stop.abort();
  await second.ended;
  assert.equal(second.created.length, 0);
});

test('a MicroTime has six digits', () => {
  assert.equal(microTime(new Date('2026-08-12T01:02:03.456Z')), '2026-08-12T01:02:03.456000Z');
});
