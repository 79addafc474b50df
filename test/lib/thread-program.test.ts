/** The limits of worker threads. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const module = JSON.stringify(new URL('../../src/lib/thread-program.ts', import.meta.url).href);
const report = `const { parentPort } = process.getBuiltinModule('node:worker_threads');
  parentPort.postMessage(process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit)`;
const program = `
  import { once } from 'node:events';
  import { getHeapStatistics } from 'node:v8';
  import { startWorker } from ${module};
  const limit = () => getHeapStatistics().heap_size_limit;
  const before = limit();
  const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 };
  const worker = startWorker({ program: ${JSON.stringify(report)}, isText: true }, { resourceLimits });
  const [thread] = await once(worker, 'message');
  process.stdout.write(JSON.stringify({ before, after: limit(), thread }));
`;

async function limitsWith(options: string): Promise<{ before: number; after: number; thread: number }> {
  const args = ['--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { NODE_OPTIONS: options } });
  return JSON.parse(stdout);
}

test('a thread has the heap of its limits also if the process has options for its size, which the main thread keeps', async () => {
  const [without, young, old] = await Promise.all(
    ['', '--max-semi-space-size=8', '--max-old-space-size-percentage=60'].map(limitsWith),
  );
  assert.ok(without && young && old);
  assert.ok(without.thread < 70 * 2 ** 20);
  assert.equal(young.thread, without.thread);
  assert.equal(old.thread, without.thread);
  assert.notEqual(old.before, without.before);
  for (const { before, after } of [without, young, old]) assert.equal(after, before);
});
