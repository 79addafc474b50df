/** Ways around the rules of imports: server-side apply, other patches, null, empty objects and the status, on the real API server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { glanceImageSchema } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import { installCrd } from '../env/crd.ts';
import { connectStack, type Stack } from '../env/stack.ts';

const id = '6b1fd7a2-0000-5000-8000-000000000000';
const other = '6b1fd7a2-0000-5000-8000-000000000001';
const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
const specs = {
  adopted: { cloud, import: { id }, deletionPolicy: 'Retain' },
  observed: { cloud, managementPolicy: 'Observe', import: { id } },
};
type Name = keyof typeof specs;

const merge = 'application/merge-patch+json';
const jsonPatch = 'application/json-patch+json';
const apply = 'application/apply-patch+yaml';

interface Attempt {
  what: string;
  of: Name;
  contentType: string;
  body: (name: Name, namespace: string) => unknown;
  /** Of server-side apply. */
  manager?: string;
  status?: true;
  /** A part of the message; absent: it is admitted, and changes nothing of the spec. */
  refused?: RegExp;
}

const patched = (spec: unknown) => () => ({ spec });
const applied = (spec: object) => (name: Name, namespace: string) => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
  spec,
});
const { import: _, ...withoutImport } = specs.adopted;

const attempts: Attempt[] = [
  {
    what: 'import null',
    of: 'adopted',
    contentType: merge,
    body: patched({ import: null }),
    refused: /cannot be added or taken away/,
  },
  { what: 'import empty', of: 'adopted', contentType: merge, body: patched({ import: {} }) },
  {
    what: 'id null',
    of: 'adopted',
    contentType: merge,
    body: patched({ import: { id: null } }),
    refused: /exactly one of id and filter/,
  },
  {
    what: 'another id',
    of: 'adopted',
    contentType: merge,
    body: patched({ import: { id: other } }),
    refused: /cannot change with/,
  },
  {
    what: 'import removed',
    of: 'adopted',
    contentType: jsonPatch,
    body: () => [{ op: 'remove', path: '/spec/import' }],
    refused: /cannot be added or taken away/,
  },
  {
    what: 'the whole spec replaced',
    of: 'adopted',
    contentType: jsonPatch,
    body: () => [{ op: 'replace', path: '/spec', value: { cloud } }],
    refused: /cannot be added or taken away/,
  },
  { what: 'spec null', of: 'adopted', contentType: merge, body: patched(null), refused: /spec/ },
  {
    what: 'deletionPolicy null',
    of: 'adopted',
    contentType: merge,
    body: patched({ deletionPolicy: null }),
    refused: /deletionPolicy is required/,
  },
  {
    what: 'Observe',
    of: 'adopted',
    contentType: merge,
    body: patched({ managementPolicy: 'Observe', deletionPolicy: null }),
    refused: /cannot change from Manage to Observe/,
  },
  {
    what: 'its manager applies without import',
    of: 'adopted',
    contentType: apply,
    manager: 'first',
    body: applied(withoutImport),
    refused: /cannot be added or taken away/,
  },
  {
    what: 'its manager applies an empty import',
    of: 'adopted',
    contentType: apply,
    manager: 'first',
    body: applied({ ...withoutImport, import: {} }),
    refused: /must be of type object/,
  },
  {
    what: 'another manager applies an empty import',
    of: 'adopted',
    contentType: apply,
    manager: 'second',
    body: applied({ cloud, import: {} }),
  },
  {
    what: 'another manager applies another id by force',
    of: 'adopted',
    contentType: apply,
    manager: 'second',
    body: applied({ cloud, import: { id: other } }),
    refused: /cannot change with/,
  },
  {
    what: 'import null, by the status',
    of: 'adopted',
    contentType: merge,
    status: true,
    body: () => ({ spec: { import: null, managementPolicy: 'Observe' }, status: {} }),
  },
  {
    what: 'its manager applies without import, by the status',
    of: 'adopted',
    contentType: apply,
    status: true,
    manager: 'first',
    body: applied(withoutImport),
  },
  {
    what: 'managementPolicy null',
    of: 'observed',
    contentType: merge,
    body: patched({ managementPolicy: null }),
    refused: /deletionPolicy is required/,
  },
  {
    what: 'Manage with a filter',
    of: 'observed',
    contentType: merge,
    body: patched({ managementPolicy: null, deletionPolicy: 'Delete', import: { id: null, filter: { name: 'a' } } }),
    refused: /needs its import\.id/,
  },
  { what: 'image null', of: 'observed', contentType: merge, body: patched({ image: null }) },
  { what: 'image empty', of: 'observed', contentType: merge, body: patched({ image: {} }) },
  ...[
    { image: { tags: [] } },
    { image: { properties: {} } },
    { image: { members: { projects: [] } } },
    { revisions: {} },
    { propertyPolicy: 'Merge' },
  ].map(
    (field): Attempt => ({
      what: JSON.stringify(field),
      of: 'observed',
      contentType: merge,
      body: patched(field),
      refused: /Observe writes nothing/,
    }),
  ),
];

describe('the rules of imports on the API server', () => {
  let stack: Stack;
  let namespace: string;
  const pathOf = (name: Name) => `/apis/${apiVersion}/namespaces/${namespace}/${plural}/${name}`;
  before(async () => {
    stack = await connectStack();
    await installCrd(stack.kubernetes);
    namespace = await stack.kubernetes.createNamespace('test');
    for (const name of ['adopted', 'observed'] as const) {
      const object = applied(specs[name])(name, namespace);
      const path = `${pathOf(name)}?fieldManager=first`;
      (await stack.kubernetes.request('PATCH', path, JSON.stringify(object), { contentType: apply })).ok();
    }
  });
  after(() => stack?.stop());

  for (const { what, of, contentType, body, manager, status, refused } of attempts) {
    const by = { [merge]: 'a merge patch', [jsonPatch]: 'a JSON patch', [apply]: 'server-side apply' }[contentType];
    test(`${what}, by ${by}, is ${refused === undefined ? 'no change' : 'refused'} where the image is ${of}`, async () => {
      const query = manager === undefined ? '' : `&fieldManager=${manager}&force=true`;
      const path = `${pathOf(of)}${status ? '/status' : ''}?dryRun=All${query}`;
      const sent = JSON.stringify(body(of, namespace));
      const answer = await stack.kubernetes.request('PATCH', path, sent, { contentType });
      if (refused === undefined) {
        const { managementPolicy, import: imported, deletionPolicy } = answer.as(glanceImageSchema).spec;
        const before = { managementPolicy: undefined, deletionPolicy: undefined, ...specs[of] };
        assert.deepEqual(
          { managementPolicy, imported, deletionPolicy },
          { managementPolicy: before.managementPolicy, imported: before.import, deletionPolicy: before.deletionPolicy },
        );
        return;
      }
      assert.equal(answer.status, 422, answer.text);
      assert.match(answer.text, refused);
    });
  }
});
