import { after, before, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import type { Runner } from '../../src/transfer/executor.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { egress, useScene } from './real.ts';
import { transferWithBreaks } from './resume.ts';

const scene = useScene();
let executor: Runner;
before(async () => {
  executor = createThreadExecutor({ egress, clock: systemClock });
});
after(async () => {
  await executor.close();
});

for (let round = 1; round <= 3; round++) {
  test(`round ${round}: a source of 2 GiB that breaks ten times at any byte is one PUT for Glance, and every byte arrives`, async () => {
    const seed = `campaign-${round}`;
    await transferWithBreaks(scene(), { size: 2 * 2 ** 30, breaks: 10, seed, transferMs: 1_800_000, executor });
  });
}
