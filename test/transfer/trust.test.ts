import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { createTrust } from '../../src/http/trust.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createThreadExecutor } from '../../src/transfer/thread-executor.ts';
import { makeCertificates } from '../env/certificates.ts';
import { generated } from '../env/content.ts';
import { startSource } from '../env/source.ts';
import { patience } from '../env/wait.ts';
import { planOf } from './plans.ts';

test('a certificate of the installation is trusted by the transfers of a running operator, for sources and clouds', async (t) => {
  const { ca, good } = await makeCertificates();
  // It is no Keystone either: a response of any kind shows that the connection was trusted.
  const server = await startSource({ tls: good });
  t.after(() => server.stop());
  const url = server.add('/image.raw', { body: generated(1000) });
  const auth = { auth_url: `${server.url}/v3`, user_id: 'u', password: 'p', project_id: 'p' };
  const access = { cloud: { cloudsYaml: stringify({ clouds: { demo: { auth } } }) }, source: {} };
  const trust = createTrust();
  const rules = { allow: ['127.0.0.1'], deny: [] };
  const executor = createThreadExecutor({ egress: { sources: rules, clouds: rules }, trust, clock: systemClock });
  t.after(() => executor.close());
  const failure = async () => {
    const options = { signal: patience(), onProgress: () => {} };
    try {
      await executor.run(planOf({ url }), access, options);
    } catch (error) {
      return error instanceof OperatorError ? error.code : String(error);
    }
    return 'none';
  };
  assert.equal(await failure(), 'SourceUntrusted');
  assert.equal(server.requests.length, 0);
  trust.set([ca]);
  assert.equal(await failure(), 'IdentityUnavailable');
  const paths = new Set(server.requests.map((request) => request.path));
  assert.ok(paths.has('/image.raw') && paths.has('/v3'));
});
