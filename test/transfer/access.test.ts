import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { transferSettings } from '../../src/commands/settings.ts';
import { findCloudsYaml, readAccess } from '../../src/commands/transfer-access.ts';
import { readSettings } from '../../src/lib/config.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { testTls } from '../env/tls.ts';
import { imageIDOf, planOf } from './plans.ts';

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

test('a clouds.yaml is taken as it stands, with the certificates that it names', async () => {
  const { cert, key } = testTls();
  const names = { cacert: file('ca.pem', cert), cert: file('cert.pem', cert), key: file('key.pem', key) };
  const lines = Object.entries(names).map(([name, path]) => `    ${name}: ${path}\n`);
  const path = file('clouds.yaml', cloud(lines.join('')));
  const access = await readAccess(planOf(), settings('--clouds-yaml', path), {});
  assert.deepEqual([access.cloud.cacert, access.cloud.cert, access.cloud.key], [cert, cert, key]);
  assert.equal(parseCloud(access.cloud, 'demo').tls.ca, cert);
  for (const line of ['username: 007', 'password: 0123', 'project_name: 1234e5'])
    assert(access.cloud.cloudsYaml.includes(`${line}\n`), line);
});

test('a certificate that is named on the command line wins', async () => {
  const path = file('clouds.yaml', cloud('    cacert: /nowhere/ca.pem\n'));
  const flags = settings('--clouds-yaml', path, '--cacert', file('two.pem', 'two'));
  assert.equal((await readAccess(planOf(), flags, {})).cloud.cacert, 'two');
});

test('text that is no clouds.yaml is left for whoever reads it to say so', async () => {
  for (const text of ['clouds: [', 'clouds: 1', '', 'clouds: {demo: x}']) {
    const flags = settings('--clouds-yaml', file('odd.yaml', text));
    assert.deepEqual(await readAccess(planOf(), flags, {}), { cloud: { cloudsYaml: text } });
  }
});

test('headers, certificates and another cloud come from their files', async () => {
  const path = file('clouds.yaml', cloud(''));
  const flags = settings(
    ...['--clouds-yaml', path, '--source-ca', file('source.pem', 'source')],
    ...['--header-file', file('headers', 'Authorization: Bearer a:b\r\n\nX-Token:  t \n')],
  );
  const http = await readAccess(planOf(), flags, {});
  assert.deepEqual([http.headers, http.ca], [{ Authorization: 'Bearer a:b', 'X-Token': 't' }, 'source']);
  assert.equal(http.sourceCloud, undefined);
  const source = { kind: 'glance', image: imageIDOf('x'), cloud: { secretRef: { name: 's' }, name: 'other' } } as const;
  const image = await readAccess(planOf({ source }), flags, {});
  assert(image.sourceCloud?.cloudsYaml.includes('other.example.com'));
});

test('a clouds.yaml is looked for where openstacksdk looks', () => {
  const home = join(folder, 'home');
  const config = join(home, '.config/openstack');
  mkdirSync(config, { recursive: true });
  writeFileSync(join(config, 'clouds.yaml'), '');
  assert.equal(findCloudsYaml({}, home), join(config, 'clouds.yaml'));
  const named = file('named.yaml', '');
  assert.equal(findCloudsYaml({ OS_CLIENT_CONFIG_FILE: named }, home), named);
  assert.equal(findCloudsYaml({ OS_CLIENT_CONFIG_FILE: '/nowhere.yaml' }, home), join(config, 'clouds.yaml'));
});
