import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { encodeError } from '../../src/transfer/error-codec.ts';
import type { Runner, TransferAccess } from '../../src/transfer/executor.ts';
import type { TransferPlan } from '../../src/transfer/plan.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { generated } from '../env/content.ts';
import { patience } from '../env/wait.ts';
import { type PlanOptions, planOf } from './plans.ts';
import { egress, useScene } from './real.ts';

const scene = useScene();
let executor: Runner;
before(async () => {
  executor = createThreadExecutor({ egress, clock: systemClock });
});
after(async () => {
  await executor.close();
});

const planted = 'hunter2-planted';

/** Everything that a failure contains: all its causes and the stack. */
async function textOfFailure(plan: TransferPlan, access: Partial<TransferAccess>): Promise<string> {
  const signal = patience();
  try {
    await executor.run(plan, { ...scene().access, ...access }, { signal, onProgress: () => {} });
  } catch (error) {
    return JSON.stringify([encodeError(error), String(error), error instanceof Error && error.stack]);
  }
  return assert.fail('it went well');
}

test('no error of a transfer shows a secret of its access', async () => {
  const { source, path } = scene();
  const fine = source.add(path(), { body: generated(1000) });
  const closed = source.add(path(), { body: generated(1000), required: { authorization: 'Bearer other' } });
  const { imageID } = await scene().plan({});
  const yaml = scene().access.cloud.cloudsYaml;
  const password = yaml.replace(/password: .*/, `password: ${planted}`);
  const withHeaders = (url: string): PlanOptions => ({
    source: { kind: 'http', url, mirrors: [], headersSecretRef: { name: 'headers' } },
  });
  const failures: [PlanOptions, Partial<TransferAccess>, RegExp][] = [
    [{ url: fine }, { cloud: { cloudsYaml: password } }, /AuthenticationFailed/],
    [{ url: fine }, { cloud: { cloudsYaml: `clouds: {demo: [${planted}` } }, /SecretInvalid/],
    [{ url: fine }, { cloud: { cloudsYaml: yaml, cacert: planted } }, /SecretInvalid/],
    [{ url: fine }, { cloud: { cloudsYaml: yaml, cert: planted, key: planted } }, /SecretInvalid/],
    [{ url: fine }, { source: { ca: planted } }, /SecretInvalid/],
    [withHeaders(fine), { source: { headers: { authorization: `${planted}\n`, host: planted } } }, /SecretInvalid/],
    [withHeaders(fine), { source: { headers: { authorization: `${planted}\u0000` } } }, /SecretInvalid/],
    [withHeaders(closed), { source: { headers: { authorization: planted } } }, /SourceForbidden/],
    [withHeaders(closed), { source: { headers: { username: planted, password: planted } } }, /SourceForbidden/],
    [{ url: `${source.url}/missing?token=${planted}` }, {}, /SourceNotFound/],
  ];
  for (const [options, access, expected] of failures) {
    const text = await textOfFailure(planOf({ imageID, ...options }), access);
    assert.match(text, expected);
    assert(!text.includes(planted), text);
    assert(!text.includes(Buffer.from(`${planted}:${planted}`).toString('base64')), text);
  }
});
