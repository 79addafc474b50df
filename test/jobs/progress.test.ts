import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readProgress, writeProgress } from '../../src/jobs/progress.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';

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
