/**
 * The policies of the chart on a real API server, with real users. Invariant: the bindings match the namespaces of this file only, so the
 * other tests of the stack do not notice them.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { apiVersion, group, kind, plural } from '../../src/api/group.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import type { StructuralSchema } from '../../src/generate/structural.ts';
import { installCrd } from '../env/crd.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';
import { objectsWith } from './objects.ts';

const contact = 'the platform team';
const digest = `sha256:${'a'.repeat(64)}`;
const good = 'https://images.example.com/';
const version = `/apis/${apiVersion}`;

/** The verb of each rule, a declaration that needs it, and the field that the rejection names. */
const privileged = [
  { verb: 'set-public', spec: { image: { visibility: 'public' } }, field: 'image.visibility public' },
  { verb: 'set-community', spec: { image: { visibility: 'community' } }, field: 'image.visibility community' },
  { verb: 'set-owner', spec: { image: { owner: 'another-project' } }, field: 'image.owner' },
  {
    verb: 'use-web-download',
    spec: { content: http({}, { method: 'WebDownload' }) },
    field: 'content.method WebDownload',
  },
] as const;

function http(file: object = {}, rest: object = {}): object {
  return { http: { url: `${good}a`, digest, ...file }, ...rest };
}

const signed = (openPGP: object = {}) => ({
  verify: { openPGP: { keysFrom: { secretRef: { name: 'keys' } }, ...openPGP } },
});
const index = { url: `${good}index.json`, format: 'JSONPointer', file: '/file', digest: '/digest' };
const checksums = { digest: undefined, digestFrom: { checksums: { url: `${good}SHA256SUMS` } } };

let stack: Stack;
/** Of a team, of the platform team, one to which no policy applies, and one that the installation does not watch. */
let [team = '', platform = '', exempt = '', elsewhere = '']: string[] = [];
let [author = '', publisher = '']: string[] = [];

const resource = ({ image, ...spec }: { image?: object; content?: object; interval?: string }, name = 'asked') => ({
  apiVersion,
  kind,
  metadata: { name },
  spec: {
    cloud: { secretRef: { name: 'openstack' }, name: 'demo' },
    image: { diskFormat: 'qcow2', ...image },
    ...spec,
  },
});
const path = (namespace: string, name = '') => `${version}/namespaces/${namespace}/${plural}${name}`;

/** The rejection of the API server, or undefined. Nothing is stored. */
async function rejection(spec: object, { user = author, namespace = team } = {}): Promise<string | undefined> {
  const answer = await stack.kubernetes.request('POST', `${path(namespace)}?dryRun=All`, resource(spec), { user });
  return answer.status === 201 ? undefined : `${answer.status} ${answer.text}`;
}

async function rejects(pattern: RegExp, ...asked: Parameters<typeof rejection>): Promise<void> {
  const message = (await rejection(...asked)) ?? 'it was admitted';
  assert.match(message, /^403 .*ValidatingAdmissionPolicy/, JSON.stringify(asked[0]));
  assert.match(message, pattern);
  assert.match(message, new RegExp(`, or ask ${contact}`));
}

async function admits(...asked: Parameters<typeof rejection>): Promise<void> {
  assert.equal(await rejection(...asked), undefined, JSON.stringify(asked[0]));
}

async function applyPolicies(...values: string[]): Promise<void> {
  const objects = await objectsWith(
    ['policies.enabled=true', `policies.contact=${contact}`, 'settings.clusterName=a', ...values],
    { name: `policies-${team}` },
  );
  const own = objects.filter(({ apiVersion: of }) => of.startsWith('admissionregistration.k8s.io/'));
  await stack.kubernetes.apply(own.map((object) => JSON.stringify(object)).join('\n---\n'));
}

/** The API server evaluates policies some time after it has stored them. */
function inEffect(spec: object, pattern: RegExp): Promise<unknown> {
  let last = '';
  return eventually(
    async () => {
      last = (await rejection(spec)) ?? 'it is admitted';
      return pattern.test(last);
    },
    () => `the policy is not in effect: ${last}`,
  );
}

const permission = (user: string, namespace: string, verbs: readonly string[]) => {
  const name = `${user}-images`;
  const of = { metadata: { name, namespace } };
  const rbac = 'rbac.authorization.k8s.io';
  return [
    { apiVersion: `${rbac}/v1`, kind: 'Role', ...of, rules: [{ apiGroups: [group], resources: [plural], verbs }] },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      ...of,
      roleRef: { apiGroup: rbac, kind: 'Role', name },
      subjects: [{ apiGroup: rbac, kind: 'User', name: user }],
    },
  ];
};

before(async () => {
  stack = await connectStack();
  const { kubernetes } = stack;
  await installCrd(kubernetes);
  const create = (prefix: string) => kubernetes.createNamespace(prefix);
  [team = '', platform = '', exempt = '', elsewhere = ''] = await Promise.all(
    ['team', 'platform', 'exempt', 'elsewhere'].map(create),
  );
  author = await kubernetes.claimUser('tenant');
  publisher = await kubernetes.claimUser('tenant');
  const write = ['get', 'create', 'update', 'patch', 'delete'];
  const verbs = [...write, ...privileged.map(({ verb }) => verb)];
  const namespaces = [team, platform, exempt, elsewhere];
  const roles = [
    ...namespaces.flatMap((namespace) => permission(author, namespace, write)),
    ...permission(publisher, team, verbs),
  ];
  await kubernetes.apply(roles.map((role) => JSON.stringify(role)).join('\n---\n'));
  // Stored before the policies are.
  const stored = resource({ image: { visibility: 'public' }, content: http() }, 'stored');
  await kubernetes.apply(JSON.stringify(stored), { namespace: team });
  await applyPolicies(
    ...[team, platform, exempt].map((namespace, at) => `watchNamespaces[${at}]=${namespace}`),
    `policies.exemptNamespaces[0]=${exempt}`,
    ...['public', 'community', 'owner', 'webDownload'].map((rule) => `policies.${rule}.namespaces[0]=${platform}`),
    'policies.hosts.enabled=true',
    'policies.hosts.allowed={images.example.com,*.mirror.example.com,192.0.2.1}',
    `policies.hosts.byNamespace.${platform}[0]=*`,
    `policies.verification.exemptNamespaces[0]=${platform}`,
  );
  for (const { spec, verb } of privileged) await inEffect(spec, new RegExp(verb));
  await inEffect({ content: http({ url: 'https://other.example.com/' }) }, /policy-hosts/);
  await inEffect({ content: http(checksums) }, /policy-verification/);
});
after(async () => {
  await stack.kubernetes.kubectl([
    'delete',
    'validatingadmissionpolicies,validatingadmissionpolicybindings',
    `--selector=app.kubernetes.io/instance=policies-${team}`,
  ]);
  await stack.stop();
});

describe('the policies of the chart', () => {
  for (const { verb, spec, field } of privileged) {
    test(`${field} needs the verb ${verb}, or a namespace in which everyone may set it`, async () => {
      const sentence = `${field} is admitted in the namespaces ${platform}, or needs the verb ${verb} on glanceimages in namespace ${team}, which the user ${author} does not have: leave it out`;
      await rejects(new RegExp(sentence), spec);
      await admits(spec, { user: publisher });
      await admits(spec, { user: 'admin' });
      await admits(spec, { namespace: platform });
      await admits(spec, { namespace: exempt });
      await admits(spec, { namespace: elsewhere });
    });
  }

  test('a verb of one rule is not enough for another rule', async () => {
    const user = await stack.kubernetes.claimUser('tenant');
    const roles = permission(user, team, ['create', 'set-public']);
    await stack.kubernetes.apply(roles.map((role) => JSON.stringify(role)).join('\n---\n'));
    await eventually(
      async () => (await rejection({ image: { visibility: 'public' } }, { user })) === undefined,
      () => 'the role has no effect',
    );
    for (const { verb, spec } of privileged.slice(1)) await rejects(new RegExp(verb), spec, { user });
  });

  test('every author may set all other fields and values', async () => {
    for (const visibility of ['private', 'shared']) await admits({ image: { visibility }, content: http() });
    for (const method of ['Upload', 'Stage']) await admits({ content: http({}, { method }) });
    await admits({});
    await admits({ image: { protected: true, tags: ['public'], properties: { owner: 'me' } }, interval: '1h' });
  });

  test('an author without the verb cannot change the declaration of a public image, and can do everything else', async () => {
    const { kubernetes } = stack;
    const patch = (body: object, sub = '') =>
      kubernetes.request('PATCH', `${path(team, '/stored')}${sub}?dryRun=All`, body, {
        user: author,
        contentType: 'application/merge-patch+json',
      });
    const pinned = { revisions: { pin: digest } };
    const other = { content: http({ url: `${good}other` }) };
    for (const spec of [{ image: { name: 'other' } }, other, { cloud: { name: 'other' } }, pinned]) {
      const { status, text } = await patch({ spec });
      assert.equal(status, 403, text);
      assert.match(text, /image\.visibility public .* set-public/);
    }
    for (const body of [
      { metadata: { finalizers: ['example.com/a'], labels: { a: 'b' } } },
      { spec: { suspend: true, deletionPolicy: 'Retain', interval: '1h' } },
      { spec: { image: { visibility: 'private' } } },
    ])
      assert.equal((await patch(body)).status, 200, JSON.stringify(body));
    const deleted = await kubernetes.request('DELETE', `${path(team, '/stored')}?dryRun=All`, undefined, {
      user: author,
    });
    assert.equal(deleted.status, 200, deleted.text);
  });
});

/** Paths of the fields of `spec.content` that hold a URL, with `[]` for the entries of a list. */
function linksIn(schema: StructuralSchema | undefined, at = ''): string[] {
  if (schema === undefined) return [];
  const isLink = (schema['x-kubernetes-validations'] ?? []).some(({ rule }) => rule.includes('https?://'));
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => linksIn(field, `${at}.${name}`));
  return [...(isLink ? [at] : []), ...inner, ...(schema.items === undefined ? [] : linksIn(schema.items, `${at}[]`))];
}

describe('the hosts that the content may name', () => {
  const id = '01234567-89ab-cdef-0123-456789abcdef';
  /** By the path of the field: a declaration in which only this field has the URL. */
  const naming: Readonly<Record<string, (url: string) => object>> = {
    '.http.url': (url) => http({ url }),
    '.http.mirrors[].url': (url) => http({ mirrors: [{ url: `${good}b` }, { url }] }),
    '.http.digestFrom.checksums.url': (url) => http({ ...checksums, digestFrom: { checksums: { url } } }, signed()),
    '.verify.openPGP.signatureURL': (signatureURL) => http(checksums, signed({ signatureURL })),
    '.index.url': (url) => ({ index: { ...index, url }, ...signed() }),
    '.index.base': (base) => ({ index: { ...index, base }, ...signed() }),
    '.glance.image': (url) => ({
      glance: { image: `${url}images/${id}`, cloud: { secretRef: { name: 'other' }, name: 'other' } },
    }),
  };

  test('the policy checks every field of the content that can hold a URL', () => {
    const schema = customResourceDefinition().spec.versions[0]?.schema.openAPIV3Schema;
    const content = schema?.properties?.['spec']?.properties?.['content'];
    assert.deepEqual(linksIn(content).sort(), Object.keys(naming).sort());
  });

  for (const [field, declare] of Object.entries(naming)) {
    test(`content${field} may name only a host that its namespace admits`, async () => {
      const evil = 'https://evil.example.org/';
      await rejects(
        new RegExp(`content names ${evil}.*whose host is not admitted in namespace ${team} \\(admitted: images`),
        { content: declare(evil) },
      );
      await admits({ content: declare(good) });
      await admits({ content: declare('http://a.b.mirror.example.com:8080/') });
      await admits({ content: declare(evil) }, { namespace: platform });
      await admits({ content: declare(evil) }, { namespace: elsewhere });
    });
  }

  test('a host is compared as a whole, as the operator reads it', async () => {
    const spellings = ['https://IMAGES.example.com/', 'https://images.example.com:444/a?b=c', 'http://192.0.2.1/a'];
    for (const url of spellings) await admits({ content: http({ url }) });
    for (const url of [
      'https://images.example.com.evil.org/',
      'https://evil.org/images.example.com',
      'https://evil.org?images.example.com',
      'https://evil.org#images.example.com',
      'https://evilimages.example.com/',
      'https://mirror.example.com/',
      'https://evil.org/.mirror.example.com',
      'https://evil.org#.mirror.example.com/',
      'https://%69mages.example.com/',
      'https://images.example.com./',
      'http://192.0.2.10/',
      'http://3221225985/',
      'https://[2001:db8::1]/',
      'https://:443/',
    ])
      await rejects(/whose host is not admitted/, { content: http({ url }) });
  });

  test('an image of the same cloud is named by its id, which has no host', async () => {
    await admits({ content: { glance: { image: id } } });
  });
});

describe('the digest or signature that the policy requires', () => {
  const required =
    /content has neither a digest nor a signature, which namespace .* requires: declare content\.http\.digest/;

  test('a digest in the resource, a signed list, a signed index and a copy of an image are admitted', async () => {
    await admits({ content: http() });
    await admits({ content: http(checksums, signed()) });
    await admits({ content: { index, ...signed() } });
    await admits({ content: { glance: { image: '01234567-89ab-cdef-0123-456789abcdef' } } });
    await admits({});
  });

  test('a list or index without a signature is rejected, except in the namespaces that the rule leaves out', async () => {
    for (const content of [http(checksums), { index }]) {
      await rejects(required, { content });
      await admits({ content }, { namespace: platform });
      await admits({ content }, { namespace: exempt });
    }
  });
});

test('kubectl finds resources by the fields that the CRD makes selectable', async () => {
  const named = async (selector: string) => {
    const args = ['get', plural, '--output=name', `--field-selector=${selector}`];
    const { code, stdout, stderr } = await stack.kubernetes.kubectl(args, { namespace: team });
    assert.equal(code, 0, stderr);
    return stdout.trim();
  };
  const stored = `glanceimage.${group}/stored`;
  assert.equal(await named('spec.image.visibility=public,spec.cloud.name=demo'), stored);
  assert.equal(await named('spec.cloud.secretRef.name=openstack,spec.suspend!=true'), stored);
  assert.equal(await named('spec.image.visibility=private'), '');
  assert.equal(await named('status.imageID=01234567-89ab-cdef-0123-456789abcdef'), '');
});

describe('the choices of the policies', () => {
  test('without permissions, only the namespaces of a rule count, also for an administrator', async () => {
    const watched = [`watchNamespaces[0]=${team}`, 'policies.byPermission=false', 'policies.public.namespaces={a,b}'];
    await applyPolicies(...watched);
    const spec = { image: { visibility: 'public' } };
    await inEffect(spec, /image\.visibility public is admitted in the namespaces a, b: leave it out, or ask/);
    await inEffect({ image: { owner: 'x' } }, /image\.owner is admitted in no namespace: leave it out, or ask/);
    await rejects(/is admitted in the namespaces a, b:/, spec, { user: 'admin' });
  });

  test('a trial warns and admits', async () => {
    await applyPolicies(`watchNamespaces[0]=${team}`, 'policies.actions={Warn,Audit}');
    const spec = { image: { visibility: 'public' } };
    const warned = () =>
      stack.kubernetes.kubectl(['create', '--dry-run=server', '--filename=-'], {
        user: author,
        namespace: team,
        input: JSON.stringify(resource(spec)),
      });
    const { stderr } = await eventually(
      async () => {
        const ended = await warned();
        return ended.code === 0 && ended;
      },
      () => 'it is still rejected',
    );
    assert.match(stderr, /Warning: .*image\.visibility public .*ask the platform team/);
  });
});
