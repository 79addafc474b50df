/** Manifests that are not applied yet. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { UsageError } from '../../src/commands/config.ts';
import { readInputOf } from '../../src/commands/input.ts';
import { appliedTo, manifestsIn, readManifests } from '../../src/commands/manifests.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { resourceOf } from '../image/resource.ts';

const head = 'apiVersion: glance-image-operator.dev/v1alpha1\nkind: GlanceImage\n';
const spec = 'spec:\n  cloud: { secretRef: { name: openstack }, name: demo }\n';
const manifest = (name: string, image = '{}') => `${head}metadata: { name: ${name} }\n${spec}  image: ${image}\n`;
const nothing = async () => '';

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-manifests-'));
});
after(() => rmSync(folder, { recursive: true }));

test('all manifests of a folder are read in the order of their names, and objects of other kinds are skipped', async () => {
  mkdirSync(join(folder, 'more'));
  writeFileSync(join(folder, 'b.yaml'), `${manifest('b')}---\nkind: ConfigMap\napiVersion: v1\n---\n${manifest('c')}`);
  writeFileSync(
    join(folder, 'a.json'),
    JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [{ kind: 'Secret' }] }),
  );
  writeFileSync(join(folder, 'more/d.yml'), manifest('d'));
  writeFileSync(join(folder, 'notes.txt'), manifest('x'));
  const { manifests: found } = await readManifests(folder, 'team', nothing, neverAborted());
  assert.deepEqual(
    found.map(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}`),
    ['team/b', 'team/c', 'team/d'],
  );
});

test('links to folders are not followed, and a folder may be called as a file', async () => {
  const mounted = join(folder, 'mounted');
  mkdirSync(join(mounted, '..2026'), { recursive: true });
  mkdirSync(join(mounted, 'folder.yaml'));
  writeFileSync(join(mounted, '..2026/file'), manifest('linked'));
  writeFileSync(join(mounted, 'folder.yaml/e.yaml'), manifest('e'));
  symlinkSync('..2026', join(mounted, '..data'));
  symlinkSync('..data/file', join(mounted, 'linked.yaml'));
  symlinkSync('.', join(mounted, 'loop'));
  const { manifests: found } = await readManifests(mounted, 'team', nothing, neverAborted());
  assert.deepEqual(
    found.map(({ resource: { metadata } }) => metadata.name),
    ['e', 'linked'],
  );
});

test('a field without a value counts as absent, as the API server treats it', () => {
  const metadata = 'metadata: { name: a, namespace: "", annotations: null }\n';
  const text = `${head}${metadata}${spec}  interval:\n  content: null\n  image: { name: ~, tags: null, properties: { a: ~, b: c } }\n`;
  const [found] = manifestsIn(text, 'a.yaml', 'team').manifests;
  const [bare] = manifestsIn(manifest('a', '{ properties: { a: ~, b: c } }'), 'a.yaml', 'team').manifests;
  assert.deepEqual(found?.resource, bare?.resource);
  assert.deepEqual(found?.resource.spec.interval, '10m');
  for (const invalid of [`metadata: { name: ~ }\n${spec}`, 'metadata: { name: a }\nspec: ~\n']) {
    const { manifests, problems } = manifestsIn(head + invalid, 'a.yaml', 'team');
    assert.deepEqual([manifests.length, problems.length], [0, 1], invalid);
  }
});

test('the items of every kind of list are read', () => {
  for (const kind of ['List', 'GlanceImageList']) {
    const items = [{ kind: 'Secret' }, parse(manifest('a'))];
    const found = manifestsIn(JSON.stringify({ apiVersion: 'v1', kind, items }), 'list.json', 'team').manifests;
    assert.deepEqual(
      found.map(({ resource: { metadata } }) => metadata.name),
      ['a'],
      kind,
    );
  }
});

test('a manifest from standard input has the defaults that the API server would add', async () => {
  const { manifests } = await readManifests('-', 'team', async () => manifest('a'), neverAborted());
  const [found] = manifests;
  assert.deepEqual([found?.resource.spec.interval, found?.resource.spec.suspend], ['10m', false]);
});

test('a pipe, a device and a file that is too large are rejected as manifests', async () => {
  const pipe = join(folder, 'pipe');
  assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
  const large = join(folder, 'large');
  writeFileSync(large, '');
  truncateSync(large, 16 * 2 ** 20 + 1);
  for (const [path, message] of [
    [pipe, /cannot read .*pipe: it is not a regular file/],
    ['/dev/zero', /cannot read \/dev\/zero: it is not a regular file/],
    [large, /cannot read .*large: it has more than 16777216 bytes/],
  ] as const) {
    const { manifests, problems } = await readManifests(path, 'team', nothing, neverAborted());
    assert.deepEqual([manifests.length, problems.length], [0, 1], path);
    assert.match(problems[0] ?? '', message);
  }
});

test('standard input is read up to a limit, and no further once the command is stopped', async () => {
  const endless = new PassThrough();
  const stop = new AbortController();
  const read = readInputOf(endless, stop.signal);
  stop.abort(new Error('stopped by SIGINT'));
  await assert.rejects(read, { message: 'stopped by SIGINT' });
  async function* zeros() {
    for (;;) yield Buffer.alloc(2 ** 20);
  }
  await assert.rejects(readInputOf(Readable.from(zeros()), neverAborted()), UsageError);
});

test('values are read as kubectl reads them', () => {
  const image = "{ properties: { a: yes, b: 1:30, c: 2026-01-31, d: 0x10, e: 1234567890123456789, f: '1' } }";
  const [found] = manifestsIn(manifest('a', image), 'a.yaml', 'team').manifests;
  assert.deepEqual(found?.resource.spec.image.properties, {
    a: true,
    b: '1:30',
    c: '2026-01-31',
    d: 16,
    e: 1234567890123456789n,
    f: '1',
  });
});

test('a manifest that the API server would reject is an error that names the file, the document and the field', () => {
  for (const [text, message] of [
    [
      `${manifest('a')}---\n${manifest('b', '{ minDiskGiB: -1 }')}`,
      /^a\.yaml, document 2, GlanceImage b: spec\.image\.minDiskGiB: /,
    ],
    [manifest('a', '{ minDisk: 1 }'), /^a\.yaml, GlanceImage a: there is no field spec\.image\.minDisk$/],
    [`${head}metadata: {}\n${spec}`, /^a\.yaml: metadata\.name: /],
    [manifest('A_b'), /^a\.yaml: metadata\.name: must consist of lower case letters/],
    [manifest('a..b'), /^a\.yaml: metadata\.name: must /],
    [manifest('a, namespace: a.b'), /^a\.yaml: metadata\.namespace: must be up to 63 lower case letters/],
    ['a: [', /^a\.yaml is not YAML: /],
  ] as const) {
    const { problems } = manifestsIn(text, 'a.yaml', 'team');
    assert.equal(problems.length, 1, text);
    assert.match(problems[0] ?? '', message);
  }
});

test('a manifest that cannot be read hides no other one, and each problem is reported', async () => {
  const mixed = join(folder, 'mixed');
  mkdirSync(mixed);
  writeFileSync(join(mixed, 'a.yaml'), 'a: [');
  writeFileSync(join(mixed, 'b.yaml'), `${manifest('b', '{ minDisk: 1 }')}---\n${manifest('good')}`);
  symlinkSync('nowhere', join(mixed, 'c.yaml'));
  const { manifests, problems } = await readManifests(mixed, 'team', nothing, neverAborted());
  assert.deepEqual(
    manifests.map(({ resource: { metadata } }) => metadata.name),
    ['good'],
  );
  assert.deepEqual(
    problems.map((problem) => /[abc]\.yaml/.exec(problem)?.[0]),
    ['a.yaml', 'b.yaml', 'c.yaml'],
  );
});

test('two manifests of one resource are a problem that names where both are, and the others are read', async () => {
  const twice = join(folder, 'twice');
  mkdirSync(twice);
  writeFileSync(join(twice, 'a.yaml'), `${manifest('one')}---\n${manifest('two, namespace: other')}`);
  const items = [parse(manifest('two')), parse(manifest('one, namespace: team'))];
  writeFileSync(join(twice, 'b.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const { manifests, problems } = await readManifests(twice, 'team', nothing, neverAborted());
  assert.deepEqual(
    manifests.map(({ resource: { metadata } }) => `${metadata.namespace}/${metadata.name}`),
    ['other/two', 'team/two'],
  );
  assert.deepEqual(problems, [
    `GlanceImage team/one is declared 2 times (${twice}/a.yaml, document 1; ${twice}/b.json, item 2): keep one of the manifests`,
  ]);
});

test('a manifest of an applied resource keeps what the cluster knows of it, and an edit is another generation', () => {
  const found = resourceOf({ status: { imageID: 'x' } });
  const [edited] = manifestsIn(manifest('ubuntu', '{ name: other }'), 'a.yaml', 'demo').manifests;
  const [same] = manifestsIn(manifest('ubuntu'), 'a.yaml', 'demo').manifests;
  assert.ok(edited && same);
  const after = appliedTo(found, edited);
  assert.deepEqual([after.metadata.uid, after.metadata.generation, after.status.imageID], [found.metadata.uid, 2, 'x']);
  assert.equal(after.spec.image.name, 'other');
  assert.equal(appliedTo(found, same).metadata.generation, 1);
});
