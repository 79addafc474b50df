import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { progressLine, showProgress } from '../../src/commands/progress.ts';
import type { TransferProgress } from '../../src/transfer/plan.ts';
import { createVirtualClock } from '../clock.ts';

const mib = 2 ** 20;
const moving = (served: number, total?: number): TransferProgress => ({
  bytes: served,
  servedBytes: served,
  total,
  phase: 'transferring',
});

describe('the progress on a terminal', () => {
  test('the progress on a terminal is a bar with bytes, percent, rate and remaining time', () => {
    assert.equal(
      progressLine(moving(256 * mib, 1024 * mib), 64 * mib, 80),
      '[=======                       ]  25%  256Mi of 1Gi, 64Mi/s, 12s left',
    );
  });

  test('the progress on a terminal leaves out unknown values', () => {
    assert.equal(progressLine(moving(5 * mib), mib, 80), '5Mi, 1Mi/s');
    assert.equal(progressLine(moving(5 * mib, 10 * mib), undefined, 40), '[=========          ]  50%  5Mi of 10Mi');
    assert.equal(
      progressLine(moving(5 * mib, 10 * mib), 0, 60),
      '[===============               ]  50%  5Mi of 10Mi, 0/s',
    );
  });

  test('the progress on a terminal never is wider than the terminal and always is one line', () => {
    const progress = fc.record({
      bytes: fc.nat({ max: 2 ** 50 }),
      servedBytes: fc.nat({ max: 2 ** 50 }),
      total: fc.option(fc.nat({ max: 2 ** 50 }), { nil: undefined }),
      phase: fc.constantFrom('connecting' as const, 'transferring' as const, 'finishing' as const),
    });
    const rate = fc.option(fc.double({ min: 0, max: 2 ** 40, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(progress, rate, fc.integer({ min: 1, max: 200 }), (seen, speed, columns) => {
        const line = progressLine(seen, speed, columns);
        assert(line.length < columns || line.length === 0);
        assert.doesNotMatch(line, /[\n\r]|NaN|Infinity|undefined/);
      }),
      { seed: 9 },
    );
  });

  test('the progress on a terminal is redrawn on one line, which stays at the end', async () => {
    const clock = createVirtualClock();
    const written: string[] = [];
    const display = showProgress({ isTTY: true, columns: 60, write: (text) => written.push(text) }, clock);
    display.update(moving(10 * mib, 20 * mib));
    await clock.advance(1000);
    display.update({ ...moving(20 * mib, 20 * mib), phase: 'finishing' });
    display.stop();
    assert(written.slice(0, -1).every((text) => text.startsWith('\r') && text.endsWith('\x1b[K')));
    assert.match(written[4] ?? '', /50% {2}10Mi of 20Mi, 10Mi\/s, 1s left/);
    assert.equal(written.at(-2), '\rAll 20Mi sent; Glance is processing the data\x1b[K');
    assert.equal(written.at(-1), '\n');
    assert.equal(clock.pending, 0);
  });
});

describe('the progress elsewhere', () => {
  test('the progress without a terminal is a plain line at an interval, with and without changes', async () => {
    const clock = createVirtualClock();
    const written: string[] = [];
    const display = showProgress({ write: (text) => written.push(text) }, clock);
    await clock.advance(5_000);
    display.update(moving(10 * mib, 20 * mib));
    await clock.advance(10_000);
    display.stop();
    assert.deepEqual(written, [
      'Connecting to the source\n',
      '50%  10Mi of 20Mi, 2Mi/s, 5s left\n',
      '50%  10Mi of 20Mi, 0/s\n',
    ]);
  });
});
