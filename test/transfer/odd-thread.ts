/** A transfer thread that executes the task in the URL of each plan, such as a crash. */
import { appendFileSync, statSync } from 'node:fs';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { createTrust } from '../../src/http/trust.ts';
import { aborted } from '../../src/lib/abort.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { downloadsOf, shareBytes } from '../../src/source/parallel/downloads.ts';
import type { Runner } from '../../src/transfer/executor.ts';
import { noProgress } from '../../src/transfer/plan.ts';
import { serveExecutor, type ThreadData } from '../../src/transfer/thread-server.ts';
import { resultOf } from './plans.ts';

const trust = createTrust();
const { downloads }: ThreadData = workerData;
const executor: Runner = {
  async run({ source }, access, { signal, onProgress }) {
    const [task, argument = ''] = (source.kind === 'http' ? source.url : source.image).split(' ');
    switch (task) {
      case 'wait':
        onProgress({ ...noProgress, phase: 'transferring' });
        break;
      case 'which':
        onProgress({ ...noProgress, bytes: threadId });
        break;
      case 'alternate':
        for (let bytes = 1; !signal.aborted; bytes++) {
          onProgress({ ...noProgress, phase: bytes % 2 === 0 ? 'connecting' : 'transferring' });
          await systemClock.sleep(1);
        }
        break;
      case 'echo':
        return { ...resultOf(1), url: JSON.stringify(access) };
      case 'trust':
        return { ...resultOf(1), url: trust.current().join() };
      case 'third': {
        // The file has one byte for each start.
        appendFileSync(argument, '.');
        const { size } = statSync(argument);
        if (size < 3) break;
        return resultOf(size);
      }
      case 'count':
        for (let bytes = 1; bytes <= 100_000; bytes++) onProgress({ ...noProgress, bytes, phase: 'transferring' });
        return resultOf(100_000);
      case 'ahead': {
        // All of the memory that is left, until the thread ends.
        const { readAhead } = downloadsOf(downloads, systemClock);
        let shares = 0;
        while (readAhead.spare(shareBytes) !== undefined) shares++;
        return resultOf(shares);
      }
      case 'phases':
        for (const phase of ['connecting', 'transferring', 'finishing'] as const) onProgress({ ...noProgress, phase });
        break;
      case 'fail':
        throw new OperatorError('Glance returned 413', {
          code: 'QuotaExceeded',
          httpStatus: 413,
          requestId: 'req-1',
          retryAfterMs: 700_000,
          cause: new Error('the response'),
        });
      case 'bug':
        throw new TypeError('x is not a function');
      case 'throw':
        queueMicrotask(() => {
          throw new Error('uncaught on purpose');
        });
        break;
      case 'exit':
        process.exit(3);
        break;
      case 'heap': {
        const hoard: unknown[] = [];
        for (;;) hoard.push({ more: new Array(500_000).fill(hoard.length) });
      }
      case 'spin':
        for (;;);
    }
    await aborted(signal);
    if (task === 'deaf') await new Promise(() => {});
    throw signal.reason;
  },
  async close() {},
};

if (parentPort !== null) serveExecutor(parentPort, executor, { clock: systemClock, trust });
