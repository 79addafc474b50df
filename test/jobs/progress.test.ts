import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createProgressBoard, readProgress, writeProgress } from '../../src/jobs/progress.ts';
import { createLogger, type Logger, silentLogger } from '../../src/lib/log.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { createVirtualClock } from '../clock.ts';
import { settle } from '../transfer/schedulers.ts';

const progress: TransferProgress = { bytes: 7, servedBytes: 5, total: 9, phase: 'transferring' };

test('the progress of a pod is read as it was written', () => {
  for (const one of [progress, { ...progress, total: undefined }, { ...progress, decoderMemory: 'held' as const }])
    assert.deepEqual(readProgress(writeProgress(one)), one);
});

test('the progress of a pod with a number that a status cannot hold is not shown, because each pod can write that of all', () => {
  const text = writeProgress(progress);
  for (const number of ['7.5', '-1', '1e300', '1e999', '"7"', 'null'])
    assert.equal(readProgress(text.replace('"bytes":7', `"bytes":${number}`)), undefined, number);
  assert.equal(readProgress(text.replace('"total":9', '"total":9.5')), undefined);
});

test('text that is too long, or that no pod writes, is no progress', () => {
  const text = writeProgress(progress);
  for (const other of [undefined, '', '[]', text.slice(1), text.replace('{', '{"x":1,'), `${' '.repeat(500)}${text}`])
    assert.equal(readProgress(other), undefined, other);
});

/** A board that reads this ConfigMap; undefined: there is none. */
function boardOf(t: TestContext, object: Record<string, unknown> | undefined, log: Logger = silentLogger) {
  const clock = createVirtualClock();
  const patches: unknown[] = [];
  const metadata = { name: 'progress', namespace: 'operator', uid: 'u', resourceVersion: '1' };
  const board = createProgressBoard({
    client: { get: async (type) => object && type.parse({ metadata, ...object }) },
    transport: {
      async request({ body }) {
        patches.push(body);
        return {};
      },
    },
    place: { namespace: 'operator', configMap: 'progress' },
    isJob: (name) => name !== 'gone',
    clock,
    log,
  });
  const stop = new AbortController();
  const run = board.run(stop.signal);
  t.after(async () => {
    stop.abort(new Error('over'));
    await assert.rejects(run, /over/);
  });
  const seen: [string, TransferProgress][] = [];
  for (const key of ['a', 'b', 'c']) board.follow(key, (one) => void seen.push([key, one]));
  const read = async () => {
    await clock.advance(5_000);
    await settle();
  };
  return { patches, seen, read };
}

test('each run gets the progress under its own key alone, what is no progress is ignored, and the keys of no Job and texts that are too long are removed', async (t) => {
  const data = { a: writeProgress(progress), b: '{"bytes":1e300}', gone: '', c: 'x'.repeat(100_000) };
  const { patches, seen, read } = boardOf(t, { data });
  await read();
  assert.deepEqual(seen, [['a', progress]]);
  assert.deepEqual(patches, [{ data: { gone: null, c: null } }]);
});

test('binary data of a pod is removed, because it may leave no room for the progress of others', async (t) => {
  const { patches, read } = boardOf(t, { binaryData: { x: 'AAAA' } });
  await read();
  assert.deepEqual(patches, [{ data: {}, binaryData: null }]);
});

for (const { what, object, problem } of [
  { what: 'missing', object: undefined, problem: /operator\/progress.*is missing/ },
  { what: 'immutable', object: { immutable: true, data: { gone: '' } }, problem: /operator\/progress.*delete it/ },
])
  test(`a ConfigMap of the progress that is ${what} is logged once, with the remedy`, async (t) => {
    const lines: string[] = [];
    const log = createLogger('warn', { write: (line) => void lines.push(line) });
    const { patches, read } = boardOf(t, object, log);
    await read();
    await read();
    assert.deepEqual(patches, []);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', problem);
  });
