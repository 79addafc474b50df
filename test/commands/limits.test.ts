import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { followTransferLimits } from '../../src/commands/limits.ts';
import { createLogger } from '../../src/lib/log.ts';
import type { TransferLimits } from '../../src/transfer/slots.ts';
import { createVirtualClock } from '../clock.ts';

const otherwise = { total: 4, perNamespace: 3, perCloud: 3, perHost: 2 };

test('transfer limits follow their file, and stay unchanged while it is unusable', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'limits-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'limits.yaml');
  const clock = createVirtualClock();
  const warnings: string[] = [];
  const log = createLogger('warn', { write: (line: string) => void warnings.push(line) });
  const applied: TransferLimits[] = [];
  const stop = new AbortController();
  const followed = followTransferLimits({
    path,
    otherwise,
    apply: (limits) => applied.push(limits),
    clock,
    log,
  }).run(stop.signal);
  /** Once it has looked, it sleeps again. */
  const look = async (text?: string) => {
    if (text !== undefined) await writeFile(path, text);
    while (clock.pending === 0) await nextTurn();
    await clock.advance(5_000);
    while (clock.pending === 0) await nextTurn();
  };

  await look();
  await look();
  assert.equal(warnings.length, 1, 'a missing file is logged once');
  await look('total: 10\n');
  await look('{"total": 10, "perHost": 9}');
  await look('total: 0\nperCluod: 3\n');
  await look('{"total": 10, "perHost": 9}');
  await look('');
  assert.deepEqual(applied, [{ ...otherwise, total: 10 }, { ...otherwise, total: 10, perHost: 9 }, otherwise]);
  assert.equal(warnings.length, 2);
  stop.abort(new Error('enough'));
  await assert.rejects(followed, /enough/);
});
