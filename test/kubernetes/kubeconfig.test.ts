/** Which kubeconfig is read where KUBECONFIG names several files. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { apiServerOf, clusterOf, loadKubeconfig, readCredentials } from '../../src/kubernetes/kubeconfig.ts';

const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-kubeconfig-'));
const before = process.env['KUBECONFIG'];
after(() => {
  rmSync(folder, { recursive: true });
  if (before === undefined) delete process.env['KUBECONFIG'];
  else process.env['KUBECONFIG'] = before;
});

/** A cluster, a user and a context of this name, and `current` as the current context. */
function fileOf(name: string, current: string | undefined, server = `https://${name}.example.com`): string {
  const path = join(folder, `${name}-${current}-${server.replace(/\W/g, '')}.json`);
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      ...(current === undefined ? {} : { 'current-context': current }),
      clusters: [{ name, cluster: { server } }],
      users: [{ name, user: { token: name } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  );
  return path;
}

function serverOf(files: readonly string[], context?: string): string {
  process.env['KUBECONFIG'] = files.join(delimiter);
  return clusterOf(loadKubeconfig(undefined, context)).server;
}

test('of several files in KUBECONFIG, the first one with a current context or an entry of a name counts, as for kubectl', () => {
  const [dev, prod] = [fileOf('dev', 'dev'), fileOf('prod', 'prod')];
  assert.equal(serverOf([dev, prod]), 'https://dev.example.com');
  assert.equal(serverOf([prod, dev]), 'https://prod.example.com');
  assert.equal(serverOf([dev, prod], 'prod'), 'https://prod.example.com');
  assert.equal(serverOf([fileOf('dev', undefined), prod]), 'https://prod.example.com');
  assert.equal(serverOf([dev, fileOf('dev', 'dev', 'https://other.example.com')]), 'https://dev.example.com');
});

test('a file in KUBECONFIG that does not exist is left out, and without any other it is an error that names it', () => {
  const missing = join(folder, 'missing');
  assert.equal(serverOf([missing, fileOf('dev', 'dev')]), 'https://dev.example.com');
  assert.throws(() => serverOf([missing, `${missing}-too`]), /The kubeconfig cannot be used: .*missing: no such file/);
});

test('an empty file in KUBECONFIG has no entries, as for kubectl, and alone it is an error about its current context', () => {
  for (const [name, text] of [
    ['empty', ''],
    ['blank', ' \n\t\r\n'],
    ['comment', '# nothing yet\n---\n'],
  ] as const) {
    const path = join(folder, name);
    writeFileSync(path, text);
    assert.equal(serverOf([path, fileOf('dev', 'dev')]), 'https://dev.example.com', name);
    assert.equal(serverOf([fileOf('dev', 'dev'), path]), 'https://dev.example.com', name);
    assert.throws(() => serverOf([path]), /The kubeconfig cannot be used: it has no current context/, name);
    assert.throws(() => serverOf([path], 'dev'), /The kubeconfig cannot be used: it has no context dev/, name);
  }
});

test('a file in KUBECONFIG that is no kubeconfig is an error that names it, also among several files', () => {
  for (const [name, text, problem] of [
    ['broken', 'users: [\n', /\/broken: .* at line \d+$/],
    ['null', 'null', /\/null: it is not a kubeconfig$/],
    ['entry', 'clusters: [{ name: dev }]', /\/entry: clusters\[0\]\.cluster is missing$/],
  ] as const) {
    const path = join(folder, name);
    writeFileSync(path, text);
    for (const files of [[path], [fileOf('dev', 'dev'), path]])
      assert.throws(() => serverOf(files), { message: problem });
  }
  assert.throws(() => serverOf([folder, fileOf('dev', 'dev')]), /-kubeconfig-\w+: illegal operation on a directory/);
  assert.throws(() => serverOf(['', '']), /the variable KUBECONFIG names no file/);
});

test('a user with a tokenFile is authenticated by the token in it, also by a path that is relative to the kubeconfig', async () => {
  writeFileSync(join(folder, 'token'), 'secret\n');
  const [path, copy] = [fileOf('dev', 'dev'), join(folder, 'with-token-file')];
  const users = (tokenFile: string) =>
    readFileSync(path, 'utf8').replace('{"token":"dev"}', JSON.stringify({ tokenFile, token: 'old' }));
  for (const tokenFile of ['token', './token', join(folder, 'token')]) {
    writeFileSync(copy, users(tokenFile));
    const { headers } = await readCredentials(loadKubeconfig(copy));
    assert.equal(headers['authorization'], 'Bearer secret', tokenFile);
  }
  writeFileSync(copy, users('missing'));
  await assert.rejects(
    readCredentials(loadKubeconfig(copy)),
    /The credentials for the API server could not be read: .*missing/,
  );
});

test('without KUBECONFIG the file in the home of the user is read, and named in its errors', () => {
  const home = process.env['HOME'];
  process.env['HOME'] = folder;
  try {
    mkdirSync(join(folder, '.kube'));
    const path = join(folder, '.kube', 'config');
    copyFileSync(fileOf('dev', 'dev'), path);
    assert.equal(serverOf([]), 'https://dev.example.com');
    writeFileSync(path, 'users: [\n');
    assert.throws(() => serverOf([]), /\.kube\/config: .* at line \d+$/);
  } finally {
    if (home === undefined) delete process.env['HOME'];
    else process.env['HOME'] = home;
  }
});

test('a user whom the kubeconfig impersonates is impersonated with groups, UID and extra values', async () => {
  const path = join(folder, 'impersonating');
  const as = { as: 'jane', 'as-groups': ['a', 'b'], 'as-uid': '7', 'as-user-extra': { 'Example.com/R ö': ['x', 'y'] } };
  const text = readFileSync(fileOf('dev', 'dev'), 'utf8');
  writeFileSync(path, text.replace('{"token":"dev"}', JSON.stringify({ token: 'dev', ...as })));
  const { headers } = await readCredentials(loadKubeconfig(path));
  assert.deepEqual(headers, {
    authorization: 'Bearer dev',
    'impersonate-user': 'jane',
    'impersonate-group': ['a', 'b'],
    'impersonate-uid': '7',
    'impersonate-extra-example.com%2fr%20%c3%b6': ['x', 'y'],
  });
});

test('of certificates and keys, those in the kubeconfig itself count before files, as for kubectl', async () => {
  const path = join(folder, 'both');
  const data = (text: string) => Buffer.from(text).toString('base64');
  const user = {
    'client-certificate': 'missing',
    'client-certificate-data': data('cert'),
    'client-key': 'missing',
    'client-key-data': data('key'),
  };
  const text = readFileSync(fileOf('dev', 'dev'), 'utf8')
    .replace('{"token":"dev"}', JSON.stringify(user))
    .replace(
      '"server"',
      `"certificate-authority":"missing","certificate-authority-data":${JSON.stringify(data('CA'))},"server"`,
    );
  writeFileSync(path, text);
  const config = loadKubeconfig(path);
  const { tls } = await readCredentials(config);
  assert.deepEqual([tls.ca, tls.cert, tls.key].map(String), ['CA', 'cert', 'key']);
  assert.equal(apiServerOf(config).ca, 'CA');
});
