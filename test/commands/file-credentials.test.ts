import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readSettings } from '../../src/commands/config.ts';
import { findCloudsYaml, withFileCredentials } from '../../src/commands/file-credentials.ts';
import { type TransferSettings, transferSettings } from '../../src/commands/settings.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { readAccess } from '../../src/transfer/access.ts';
import type { TransferPlan } from '../../src/transfer/plan.ts';
import { testTls } from '../env/tls.ts';
import { imageIDOf, planOf } from '../transfer/plans.ts';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-access-'));
});
after(() => rmSync(folder, { recursive: true }));

const file = (name: string, content: string) => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const settings = (...args: string[]) => readSettings(transferSettings, args, {});

const accessOf = (given: TransferPlan, flags: TransferSettings) => {
  const { plan, credentials } = withFileCredentials(given, flags, {});
  return readAccess(credentials, plan, new AbortController().signal);
};

const cloud = (more: string) => `
clouds:
  other: { auth: { auth_url: https://other.example.com } }
  demo:
    auth:
      auth_url: https://keystone.example.com
      username: 007
      password: 0123
      project_name: 1234e5
      user_domain_name: Default
      project_domain_name: Default
${more}`;

test('clouds.yaml is read as it stands, with the certificate files that it names', async () => {
  const { cert, key } = testTls();
  const names = { cacert: file('ca.pem', cert), cert: file('cert.pem', cert), key: file('key.pem', key) };
  const lines = Object.entries(names).map(([name, path]) => `    ${name}: ${path}\n`);
  const path = file('clouds.yaml', cloud(lines.join('')));
  const access = await accessOf(planOf(), settings('--clouds-yaml', path));
  assert.deepEqual([access.cloud.cacert, access.cloud.cert, access.cloud.key], [cert, cert, key]);
  assert.equal(parseCloud(access.cloud, 'demo').tls.ca, cert);
  for (const line of ['username: 007', 'password: 0123', 'project_name: 1234e5'])
    assert(access.cloud.cloudsYaml.includes(`${line}\n`), line);
});

test('the secure.yaml next to clouds.yaml is read, and PEM text in clouds.yaml is no file', async () => {
  const { cert } = testTls();
  const path = file('inline.yaml', cloud(`    cacert: ${JSON.stringify(cert)}\n`));
  const secure = file('secure.yaml', 'clouds: {demo: {auth: {password: other}}}');
  const access = await accessOf(planOf(), settings('--clouds-yaml', path));
  rmSync(secure);
  const { tls, access: login } = parseCloud(access.cloud, 'demo');
  assert.equal(tls.ca, cert);
  assert(login.kind === 'keystone' && login.user.credentials.method.kind === 'password');
  assert.equal(login.user.credentials.method.password.reveal(), 'other');
});

test('--cacert overrides the cacert of clouds.yaml', async () => {
  const path = file('clouds.yaml', cloud('    cacert: /nowhere/ca.pem\n'));
  const flags = settings('--clouds-yaml', path, '--cacert', file('two.pem', 'two'));
  assert.equal((await accessOf(planOf(), flags)).cloud.cacert, 'two');
});

test('a file that is not a clouds.yaml is passed on unchanged, so that its parser reports the error', async () => {
  for (const text of ['clouds: [', 'clouds: 1', '', 'clouds: {demo: x}']) {
    const flags = settings('--clouds-yaml', file('odd.yaml', text));
    assert.deepEqual(await accessOf(planOf(), flags), { cloud: { cloudsYaml: text }, source: {} });
  }
});

test('headers, CA certificates and the cloud of a source image are read from their files', async () => {
  const path = file('clouds.yaml', cloud(''));
  const flags = settings(
    ...['--clouds-yaml', path, '--source-ca', file('source.pem', 'source')],
    ...['--header-file', file('headers', 'Authorization: Bearer a:b\r\n\nX-Token:  t \n')],
  );
  const http = await accessOf(planOf(), flags);
  assert.deepEqual([http.source.headers, http.source.ca], [{ Authorization: 'Bearer a:b', 'X-Token': 't' }, 'source']);
  assert.equal(http.source.cloud, undefined);
  const source = { kind: 'glance', image: imageIDOf('x'), cloud: { secretRef: { name: 's' }, name: 'other' } } as const;
  const image = await accessOf(planOf({ source }), flags);
  assert(image.source.cloud?.cloudsYaml.includes('other.example.com'));
});

test('the Secrets that a plan names are never read when it runs from files', async () => {
  const http = { kind: 'http' as const, url: 'https://example.com/a.raw', mirrors: [] };
  const source = { ...http, headersSecretRef: { name: 'headers' }, caSecretRef: { name: 'ca' } };
  const access = await accessOf(planOf({ source }), settings('--clouds-yaml', file('clouds.yaml', cloud(''))));
  assert.deepEqual([Object.keys(access), access.source], [['cloud', 'source'], {}]);
});

test('clouds.yaml is found in the places where openstacksdk looks', () => {
  const home = join(folder, 'home');
  const config = join(home, '.config/openstack');
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, 'clouds.yaml'), '');
  assert.equal(findCloudsYaml({}, home), join(config, 'clouds.yaml'));
  const named = file('named.yaml', '');
  assert.equal(findCloudsYaml({ OS_CLIENT_CONFIG_FILE: named }, home), named);
  assert.equal(findCloudsYaml({ OS_CLIENT_CONFIG_FILE: '/nowhere.yaml' }, home), join(config, 'clouds.yaml'));
});
