/**
 * Signs in without a password as the how-to says: its commands and its configuration of Apache as written, mod_auth_openidc in front of
 * a real Keystone, the keys of a real API server, and an operator with the rights that the chart gives it.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { keystoneAnnotation } from '../../src/openstack/service-account.ts';
import { type Apache, startApache } from '../env/apache.ts';
import { adminPassword } from '../env/bootstrap.ts';
import { type BriefKeystone, startBriefKeystone } from '../env/brief-keystone.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { ask } from '../env/http.ts';
import { raw } from '../env/images.ts';
import { kubeconfig } from '../env/kubeconfig.ts';
import { folders } from '../env/parts.mjs';
import { startSource } from '../env/source.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import { messageOf, World } from '../operator/world.ts';
import { Installation } from '../rbac/installation.ts';
import { fileNameOf, readPage } from './pages.ts';
import { type Reader, startReader } from './reader.ts';

const page = readPage('docs/how-to/federation.md');
const inLanguage = (wanted: string) =>
  page.blocks.find(({ language }) => language === wanted)?.text ?? assert.fail(`the page has no ${wanted}`);
const values = page.blocks.find((block) => fileNameOf(block) === 'federation-values.yaml');
const body = raw(64 * 1024);
/** Short enough to see one renewed, and long enough for a slow machine to use it. */
const tokenSeconds = 20;
const hasApache = existsSync(join(folders.apache, 'usr'));
const tokenSchema = z.object({ status: z.object({ token: z.string() }) });

describe('a resource without a stored password', { skip: hasApache ? false : 'needs Debian' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'federation-'));
  let world: World;
  let keystone: BriefKeystone;
  let apache: Apache;
  let reader: Reader;
  let installation: Installation;
  let address: string;
  let certificates: Certificates;
  let ca: string;
  let localised: (text: string) => string;

  /** Headings of the page whose blocks are typed. */
  const under = (...numbers: string[]) =>
    page.blocks.filter(
      ({ heading, language }) =>
        numbers.some((number) => heading.startsWith(`${number}. `)) && !['apache', 'ini'].includes(language),
    );

  before(async () => {
    world = await World.create({ idle: true });
    const { kubernetes, openstack } = world.stack;
    const { project, namespace } = world;
    keystone = await startBriefKeystone(world.stack.directory, tokenSeconds, inLanguage('ini'));
    certificates = await makeCertificates();
    const { good } = certificates;
    ca = certificates.ca;
    const replacements = (port: number): [string, string][] => [
      ['https://keystone.example.com:5000', `https://127.0.0.1:${port}`],
      ['Listen 5000', `Listen 127.0.0.1:${port}`],
      ['*:5000', `*:${port}`],
      ['http://127.0.0.1:5001', new URL(keystone.authUrl).origin],
      ['https://kubernetes.example.com:6443', kubernetes.server],
      ['https://kubernetes.default.svc.cluster.local', 'https://kubernetes.default.svc'],
      [/* The directory of Apache in the tests. */ '/etc/apache2/', '@'],
      ['/etc/ssl/', '@'],
      ['images-of-team-a', `images-of-${project.name}`],
      ['--project team-a', `--project ${project.id}`],
      ['project_name: team-a', `project_name: ${project.name}`],
      ['RegionOne', openstack.region],
      ['team-a', namespace],
      ['--from-file=cloud/clouds.yaml', '--from-file=cloud/clouds.yaml --from-file=cacert=ca.pem'],
      ['https://download.cirros-cloud.net/0.6.3/cirros-0.6.3-x86_64-disk.img', world.source.add('/a.raw', { body })],
      ['sha256:7d6355852aeb6dbcd191bcda7cd74f1536cfe5cbf8a10495a7283a8396e4b75b', digestOf(body)],
      ['qcow2', 'raw'],
    ];
    const localise = (port: number) => (text: string) =>
      replacements(port).reduce((before, [from, to]) => before.replaceAll(from, to), text);
    apache = await startApache({
      configure: (port) => localise(port)(inLanguage('apache')),
      files: { 'kubernetes-ca.pem': kubernetes.caPem, 'keystone.pem': good.cert, 'keystone.key': good.key },
    });
    localised = localise(apache.port);
    address = `https://127.0.0.1:${apache.port}`;
    const access = join(directory, '.kubeconfig');
    const { server, caPem, adminToken: token } = kubernetes;
    writeFileSync(access, kubeconfig({ server, ca: caPem, token, namespace }), { mode: 0o600 });
    writeFileSync(join(directory, 'ca.pem'), ca);
    const admin = { username: 'admin', password: adminPassword, project_name: 'admin' };
    const domains = { user_domain_name: 'Default', project_domain_name: 'Default' };
    const auth = { auth_url: openstack.authUrl, ...admin, ...domains };
    const login = stringify({ clouds: { demo: { auth, region_name: openstack.region } } });
    reader = await startReader({
      directory,
      kubeconfig: access,
      project: { cloudsYaml: async () => login },
      replacements: replacements(apache.port),
    });
    await reader.walk(under('1', '2', '3'));
    installation = await Installation.create(world, {
      settings: { selector: undefined },
      values: z.record(z.string(), z.unknown()).parse(parse(localised(values?.text ?? ''))),
    });
    await installation.start();
  });
  after(async () => {
    await installation?.[Symbol.asyncDispose]();
    await reader?.[Symbol.asyncDispose]();
    await apache?.[Symbol.asyncDispose]();
    await keystone?.[Symbol.asyncDispose]();
    await world?.stack.kubernetes.kubectl(['delete', 'clusterrolebinding', 'public-keys-of-service-accounts']);
    for (const path of ['identity_providers', 'mappings'])
      await world?.stack.openstack.identity('DELETE', `/OS-FEDERATION/${path}/kubernetes`);
    await world?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  /** A token of a ServiceAccount, as a person with rights in the cluster gets one. */
  async function tokenOf(name: string, audience: string): Promise<string> {
    const path = `/api/v1/namespaces/${world.namespace}/serviceaccounts/${name}/token`;
    const spec = { audiences: [audience], expirationSeconds: 600 };
    const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    return (await world.stack.kubernetes.request('POST', path, request)).as(tokenSchema).status.token;
  }

  const federated = '/v3/OS-FEDERATION/identity_providers/kubernetes/protocols/openid/auth';
  async function exchange(token: string, headers: Record<string, string> = {}): Promise<number> {
    const authorization = `Bearer ${token}`;
    return (await ask('POST', `${address}${federated}`, { ca, headers: { authorization, ...headers } })).status;
  }

  const secondCloud = (name: string, serviceAccountName: string) => ({
    cloud: { secretRef: { name }, name: 'demo', serviceAccountName },
    image: { diskFormat: 'raw' },
  });

  test('the steps of the page make a resource Ready without a stored password, and its tokens are renewed before they end', async () => {
    const mark = await world.stack.kubernetes.audit.mark();
    await reader.walk(under('5'));
    const { status } = await world.ready('cirros');
    const [image] = await world.images();
    assert.deepEqual([image?.id, image?.status, image?.owner], [status.imageID, 'active', world.project.id]);
    const [text] = page.blocks.filter((block) => fileNameOf(block) === 'cloud/clouds.yaml');
    assert.doesNotMatch(text?.text ?? '', /password|secret|token:/);

    await world.stack.kubernetes.kubectl([
      'patch',
      'glanceimage/cirros',
      `--namespace=${world.namespace}`,
      '--type=merge',
      `--patch=${JSON.stringify({ spec: { interval: '10s' } })}`,
    ]);
    const requests = async () =>
      (await world.stack.kubernetes.audit.read(installation.user, mark)).filter(({ uri }) => uri.endsWith('/token'));
    await eventually(
      // The operator itself and the transfer sign in once each.
      async () => (await requests()).length >= 4,
      () => 'no further token was requested',
    );
    const used = await requests();
    assert.ok(used.every(({ uri, status }) => uri.endsWith('/serviceaccounts/glance-images/token') && status === 201));
    const ready = await world.get('cirros');
    assert.ok(ready !== undefined && messageOf(ready) !== '');
    assert.equal(ready.status.lastError, undefined);
  });

  test('Keystone rejects the tokens of another audience and of another ServiceAccount, also with forged headers', async () => {
    await world.stack.kubernetes.kubectl(['create', 'serviceaccount', 'other', `--namespace=${world.namespace}`]);
    assert.equal(await exchange(await tokenOf('glance-images', address)), 201);
    assert.equal(await exchange(await tokenOf('glance-images', 'https://other.example.com')), 401);
    const other = await tokenOf('other', address);
    const subject = `system:serviceaccount:${world.namespace}:glance-images`;
    const statuses = [
      await exchange(other),
      await exchange(other, { 'OIDC-sub': subject }),
      await exchange(other, { OIDC_sub: subject }),
    ];
    assert.ok(
      statuses.every((status) => status >= 400 && status < 500),
      String(statuses),
    );
  });

  test('a resource uses no ServiceAccount whose owner does not allow it, and none without a right of the operator', async () => {
    const { kubernetes } = world.stack;
    const own = `--namespace=${world.namespace}`;
    await world.apply('unlisted', secondCloud('openstack-federated', 'other'));
    const unlisted = await world.reason('unlisted', 'ServiceAccountForbidden');
    assert.match(messageOf(unlisted), /the operator may not read it: ServiceAccount "other" .*serviceAccountTokens/);

    await kubernetes.kubectl(['annotate', 'serviceaccount', 'glance-images', `${keystoneAnnotation}-`, own]);
    const refused = await world.reason('cirros', 'ServiceAccountRefused');
    assert.match(messageOf(refused), /has no annotation .*kubectl annotate serviceaccount glance-images/);
    assert.ok(refused.status.imageID !== undefined, 'the image stays');
    const elsewhere = `${keystoneAnnotation}=https://other.example.com`;
    await kubernetes.kubectl(['annotate', 'serviceaccount', 'glance-images', elsewhere, own]);
    await world.until('cirros', 'another rejection', (resource) => /does not list/.test(messageOf(resource)));
    await kubernetes.kubectl([
      'annotate',
      'serviceaccount',
      'glance-images',
      '--overwrite',
      `${keystoneAnnotation}=${address}`,
      own,
    ]);
    await world.ready('cirros');
    await world.delete('unlisted');
  });

  test('a client of an identity provider signs in with its own secret as the page shows, and without a ServiceAccount', async () => {
    const provider = await startSource({ tls: certificates.good });
    try {
      const pair = Buffer.from('glance-images:the-secret-of-the-client').toString('base64');
      const json = (path: string, value: object, required: Record<string, string> = {}) =>
        provider.add(path, { body: Buffer.from(JSON.stringify(value)), required });
      // Signed with a key that this Apache knows.
      const token = await tokenOf('glance-images', address);
      const tokens = json('/tokens', { access_token: token }, { authorization: `Basic ${pair}` });
      json('/realms/cloud/.well-known/openid-configuration', { token_endpoint: tokens });

      const shown = page.blocks.find((block) => fileNameOf(block) === 'client/clouds.yaml')?.text ?? assert.fail();
      const cloudsYaml = localised(shown)
        .replace('https://id.example.com', provider.url)
        .replace('identity_provider: keycloak', 'identity_provider: kubernetes');
      await world.writeSecret('openstack-client', { 'clouds.yaml': cloudsYaml, cacert: ca });
      await world.apply('client', {
        cloud: { secretRef: { name: 'openstack-client' }, name: 'demo' },
        image: { diskFormat: 'raw' },
        content: { http: { url: world.source.add('/client.raw', { body }), digest: digestOf(body) } },
      });
      const { status } = await world.ready('client');
      const { owner, status: state } = await world.project.getImage(status.imageID ?? '');
      assert.deepEqual([owner, state], [world.project.id, 'active']);
      const signIns = provider.requests.filter(({ path }) => path === '/tokens');
      assert.ok(signIns.length > 0 && signIns.every((request) => request.method === 'POST' && request.status === 200));
      await world.delete('client');
      await world.gone('client');
    } finally {
      await provider.stop();
    }
  });

  test('a resource shows what to change if the mapping has no group or the ServiceAccount is deleted, and heals', async () => {
    const { openstack, kubernetes } = world.stack;
    const remote = [{ type: 'HTTP_OIDC_SUB' }];
    const rules = [{ remote, local: [{ user: { name: '{0}' } }] }];
    const path = '/OS-FEDERATION/mappings/kubernetes';
    (await openstack.identity('PATCH', path, { mapping: { rules } })).ok();
    const unmapped = await world.until('cirros', 'a rejection', (resource) => /rejected/.test(messageOf(resource)));
    assert.match(messageOf(unmapped), /the mapping in Keystone must put the user into a group that has a role there/);

    await kubernetes.kubectl(['delete', 'serviceaccount', 'glance-images', `--namespace=${world.namespace}`]);
    await world.reason('cirros', 'ServiceAccountNotFound');

    const written: unknown = JSON.parse(readFileSync(join(directory, 'rules.json'), 'utf8'));
    (await openstack.identity('PATCH', path, { mapping: { rules: written } })).ok();
    await reader.walk(under('3'));
    await world.ready('cirros');
    await world.delete('cirros');
    await world.gone('cirros');
  });
});
