/** Questions to publishers in the thread of an executor. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import type { Question } from '../../src/source/resolve/question.ts';
import { ExecutorClosed } from '../../src/transfer/executor.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { raw } from '../env/images.ts';
import { startSource } from '../env/source.ts';
import { patience } from '../env/wait.ts';

test('a thread reads lists and files of publishers, and obeys the egress policy, an abort and its end', async (t) => {
  const server = await startSource();
  t.after(() => server.stop());
  const body = raw(1_000_000);
  const sha256 = createHash('sha256').update(body).digest('hex');
  const named = (url: string) => url.replace('127.0.0.1', 'localhost');
  const file = named(server.add('/disk.raw', { body }));
  const url = named(server.add('/SHA256SUMS', { body: Buffer.from(`${sha256}  disk.raw\n`) }));
  const list: Question = { url, isSigned: false, looksFor: { kind: 'checksums', file, name: undefined } };
  const first: Question = { url: file, isSigned: false, looksFor: { kind: 'firstUse', file } };
  const executorWith = (...allow: string[]) => {
    const rules = { allow, deny: [] };
    const executor = createThreadExecutor({ egress: { sources: rules, clouds: rules }, clock: systemClock });
    t.after(() => executor.close());
    return executor;
  };
  const askingOf = (question: Question) => ({
    ...{ question, known: undefined, secrets: {}, declaredFor: undefined, limits: defaultLimits },
  });
  const isRefused = (error: unknown) => error instanceof OperatorError && error.code === 'EgressRefused';

  const host = executorWith('localhost');
  const { resolution } = await host.ask(askingOf(list), patience());
  assert.deepEqual(resolution, { url: file, digest: `sha256:${sha256}` });
  const { resolution: trusted } = await host.ask(askingOf(first), patience());
  assert.equal(trusted.digest, `sha512:${createHash('sha512').update(body).digest('hex')}`);

  const network = executorWith('127.0.0.0/8', '::1');
  assert.equal((await network.ask(askingOf(list), patience())).resolution.digest, `sha256:${sha256}`);
  await assert.rejects(network.ask(askingOf(first), patience()), isRefused);
  await assert.rejects(executorWith().ask(askingOf(list), patience()), isRefused);

  await assert.rejects(host.ask(askingOf(list), AbortSignal.abort(new Error('enough'))), /enough/);
  await host.close();
  await assert.rejects(host.ask(askingOf(list), patience()), ExecutorClosed);
});
