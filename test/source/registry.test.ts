import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { specSchema } from '../../src/api/spec.ts';
import { declaredData, SourcePlan, sourceOf } from '../../src/source/registry.ts';
import { cloud, from, http, id, spec } from '../api/declarations.ts';

/** The plan of what is declared, after a trip through JSON. */
function planned(declaration: object) {
  const { content, cloud } = specSchema.parse(declaration);
  const data = content && declaredData(content, { cloud });
  assert.ok(data !== undefined);
  return { ...data, source: SourcePlan.parse(JSON.parse(JSON.stringify(data.source))) };
}

const copyOf = (fields: object) =>
  spec({ image: { diskFormat: 'raw' }, content: { glance: { image: id, ...fields } } });
const other = { secretRef: { name: 'other' }, name: 'other' };
const privateFile = { headersSecretRef: { name: 'token' }, caSecretRef: { name: 'authority' } };

describe('the registry of sources', () => {
  test('a declared file becomes a plan with its place, its digest and the names of its Secrets', () => {
    const { source, ...data } = planned(from(privateFile));
    assert.deepEqual(source, { kind: 'http', url: http.url, mirrors: [], ...privateFile });
    assert.deepEqual(data, { digest: http.digest, digestOf: 'Served', decompress: 'Auto' });
  });

  test('a declared image of Glance is read with the credentials of its own cloud, or else with those of spec.cloud', () => {
    const { source, digest } = planned(copyOf({ cloud: other }));
    assert.deepEqual([source, digest], [{ kind: 'glance', image: id, cloud: other }, undefined]);
    assert.deepEqual(planned(copyOf({})).source, { kind: 'glance', image: id, cloud });
  });

  test('a source names each Secret that it reads, with its use, its field, its cloud and its ServiceAccount', () => {
    const secrets = (declaration: object) => sourceOf(planned(declaration).source).secrets;
    assert.deepEqual(secrets(from({})), []);
    assert.deepEqual(secrets(from(privateFile)), [
      {
        use: 'headers',
        ref: { name: 'token' },
        field: 'spec.content.http.headersSecretRef',
        destination: http.url,
      },
      { use: 'ca', ref: { name: 'authority' }, field: 'spec.content.http.caSecretRef' },
    ]);
    const field = 'spec.content.glance.cloud.secretRef';
    const need = { use: 'cloud', ref: { name: 'other' }, field, cloud: 'other' };
    assert.deepEqual(secrets(copyOf({ cloud: other })), [{ ...need, serviceAccountName: undefined }]);
    const signedIn = { ...other, serviceAccountName: 'images' };
    assert.deepEqual(secrets(copyOf({ cloud: signedIn })), [{ ...need, serviceAccountName: 'images' }]);
  });

  test('mirrors with a digest of their own are other files, each with its mirrors, and no headers of another server', () => {
    const [one, two] = [`sha256:${'1'.repeat(64)}`, `sha256:${'2'.repeat(64)}`];
    const mirrors = [
      { url: 'https://a.example.org/x.xz', digest: one },
      { url: 'https://b.example.org/x' },
      { url: 'https://example.com/x.zst', digest: two },
      { url: 'https://c.example.org/x.xz', digest: one },
      { url: 'https://d.example.org/x', digest: http.digest },
    ];
    const { source } = planned(from({ ...privateFile, url: 'https://example.com/x', mirrors }));
    const authority = { caSecretRef: privateFile.caSecretRef };
    assert.deepEqual(sourceOf(source).alternatives, [
      {
        source: {
          kind: 'http',
          url: 'https://a.example.org/x.xz',
          mirrors: [{ url: 'https://c.example.org/x.xz' }],
          ...authority,
        },
        digest: one,
      },
      { source: { kind: 'http', url: 'https://example.com/x.zst', mirrors: [], ...privateFile }, digest: two },
    ]);
    const same = source.kind === 'http' ? source.mirrors.filter(({ digest }) => digest === undefined) : [];
    assert.deepEqual(same, [{ url: 'https://b.example.org/x' }, { url: 'https://d.example.org/x' }]);
    assert.deepEqual(sourceOf(planned(copyOf({})).source).alternatives, []);
  });

  test('transfers are counted by the host of their source, or by its cloud where only that is known', () => {
    const host = (declaration: object) => sourceOf(planned(declaration).source).host('team');
    assert.equal(
      host(from({ url: 'https://example.com:8443/a', mirrors: [{ url: 'https://example.org/a' }] })),
      'example.com:8443',
    );
    assert.equal(
      host(copyOf({ image: `https://glance.example.com/v2/images/${id}`, cloud: other })),
      'glance.example.com',
    );
    assert.equal(host(copyOf({ cloud: { ...other, region: 'Two' } })), 'team/other/other/Two');
  });

  test('Glance itself can download a file, and no image of another cloud', () => {
    const urlOf = (declaration: object) => sourceOf(planned(declaration).source).webDownloadURL;
    assert.equal(urlOf(from({})), http.url);
    assert.equal(urlOf(copyOf({})), undefined);
  });

  test('other Secrets take the place of those of a source, which stays the same otherwise', () => {
    const replace = (use: string, name?: string) => ({ name: `local-${use}${name ?? ''}` });
    const withLocal = (declaration: object) => sourceOf(planned(declaration).source).withSecrets(replace);
    assert.deepEqual(withLocal(from({})), {
      ...planned(from({})).source,
      headersSecretRef: { name: 'local-headers' },
      caSecretRef: { name: 'local-ca' },
    });
    assert.deepEqual(withLocal(copyOf({ cloud: other })), {
      ...planned(copyOf({})).source,
      cloud: { ...other, secretRef: { name: 'local-cloudother' } },
    });
    assert.deepEqual(
      sourceOf(planned(from(privateFile)).source).withSecrets(() => undefined),
      planned(from({})).source,
    );
  });
});
