import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { createClouds } from '../../src/image/access/clouds.ts';
import type { CloudRef } from '../../src/image/model/cloud-ref.ts';
import { SecretString } from '../../src/lib/secret.ts';
import { openSession } from '../../src/openstack/pool.ts';
import { ManualClock } from '../openstack/manual-clock.ts';

const never = () => new AbortController().signal;
const ref: CloudRef = { namespace: 'team-a', secretRef: { name: 'openstack' }, name: 'demo' };
const auth = {
  auth_url: 'http://keystone.example.com/v3',
  identity_provider: 'i',
  protocol: 'openid',
  project_id: 'p',
  client_id: 'c',
  client_secret: 'x',
};

/** The flow of a resource whose Secret has this entry. No server is called before it is known. */
async function destinationOf(t: { after(end: () => Promise<void>): void }, entry: object): Promise<string | undefined> {
  const clock = new ManualClock();
  const text = stringify({ clouds: { demo: entry } });
  const clouds = createClouds({
    credentials: { secret: async () => ({ version: '1', data: new Map([['clouds.yaml', new SecretString(text)]]) }) },
    clock,
    random: () => 0.5,
    openSession: (cloud) => openSession(cloud, { clock, random: () => 0.5 }),
    cache: { mark: {}, keeps: () => false, onChange: () => {} },
    observedIDs: () => [],
    observeCache: () => ({ lookedUp() {}, listed() {}, failed() {}, closed() {} }),
  });
  t.after(() => clouds.close());
  assert.equal(await (await clouds.read(ref, never())).open(never()), undefined);
  return clouds.destinationOf(ref);
}

test('resources that sign in through another identity provider have a flow of their own, which delays no other', async (t) => {
  const password = { auth_url: auth.auth_url, user_id: 'u', password: 'x', project_id: 'p' };
  const flows = await Promise.all([
    destinationOf(t, { auth: password }),
    ...['access_token_endpoint', 'discovery_endpoint'].flatMap((key) =>
      ['https://id.example.com/a', 'https://slow.example.com/a'].map((address) =>
        destinationOf(t, { auth_type: 'v3oidcclientcredentials', auth: { ...auth, [key]: address } }),
      ),
    ),
  ]);
  const [plain, good, slow, ...discovered] = flows;
  assert.equal(new Set([plain, good, slow]).size, 3);
  assert.deepEqual(discovered, [good, slow]);
});
