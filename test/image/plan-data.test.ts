import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markOf } from '../../src/image/identity.ts';
import { type Memory, savingGraceMs } from '../../src/image/plan.ts';
import { after, blank, kinds, planFor, present, withContent } from './planning.ts';
import { content, digest, identity, imageOf } from './resource.ts';

describe('data that Glance fetches by itself', () => {
  const sha512 = `sha512:${'e'.repeat(128)}`;
  const fetched = {
    spec: {
      content: { http: { ...content.http, digest: sha512 }, method: 'WebDownload' },
      image: { diskFormat: 'raw', visibility: 'public' },
    },
  };
  const unseen = { visibility: 'private', hidden: true };
  const queued = imageOf({ ...unseen, status: 'queued', checksum: null, hash: null, size: null });
  const lock = { os_glance_import_task: 'some task', ...markOf(identity) };

  test('is kept out of sight until it is verified', () => {
    const [create] = planFor(fetched, { kind: 'absent', incarnation: 0 });
    assert.partialDeepStrictEqual(create, { kind: 'create', image: unseen });
    const [patch] = planFor(fetched, present(imageOf(unseen)));
    assert.deepEqual(patch?.kind === 'patch' && patch.operations, [
      { op: 'replace', path: '/visibility', value: 'public' },
      { op: 'replace', path: '/os_hidden', value: false },
    ]);
  });

  test('is asked for once, and looked after until the import has ended', () => {
    assert.deepEqual(kinds(planFor(fetched, present(queued))), ['import']);
    for (const status of ['queued', 'importing', 'active']) {
      const [wait] = planFor(fetched, present({ ...queued, status, properties: lock }));
      assert.partialDeepStrictEqual(wait, { kind: 'wait', phase: 'Importing' });
    }
  });

  test('is looked at less and less often while it takes its time', () => {
    const importing = present({ ...queued, status: 'importing', properties: lock });
    const waits = [0, 5_000, 60_000, 3_600_000].map((ms) => planFor(fetched, importing, after('Importing', ms))[0]);
    assert.deepEqual(
      waits.map((wait) => wait?.kind === 'wait' && wait.ms),
      [1_000, 1_000, 6_000, 30_000],
    );
  });

  test('that did not come is a failure first, and asked for again after that', () => {
    assert.deepEqual(kinds(planFor(fetched, present(queued), after('Importing', 5_000))), ['importFailed']);
    assert.deepEqual(kinds(planFor(fetched, present(queued))), ['import']);
  });

  test('that is another file than declared is deleted', () => {
    const other = imageOf({ ...unseen, hash: { algorithm: 'sha512', value: 'f'.repeat(128) } });
    const [action] = planFor(fetched, present(other));
    assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'DigestMismatch' });
  });

  test('that cannot be verified is deleted', () => {
    for (const hash of [null, { algorithm: 'blake2b', value: 'f'.repeat(128) }]) {
      const [action] = planFor(fetched, present(imageOf({ ...unseen, hash })));
      assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'ContentMismatch' });
    }
  });

  test('and whose import nobody runs any more is made anew', () => {
    const stuck = present({ ...queued, status: 'importing' });
    assert.deepEqual(kinds(planFor(fetched, stuck, after('Waiting', savingGraceMs))), ['replace']);
  });
});

describe('data that was sent', () => {
  const sent = { url: content.http.url, digest, imageDigest: `sha512:${'e'.repeat(128)}`, size: 1024 };
  const memory: Memory = { ...blank, content: sent };

  test('and is there as it was sent leaves nothing to do', () => {
    assert.deepEqual(planFor(withContent, present(imageOf()), memory), []);
  });

  test('and is there with another size or digest is deleted', () => {
    for (const found of [{ size: 1023, hash: null }, { hash: { algorithm: 'sha512', value: '0'.repeat(128) } }]) {
      const [action] = planFor(withContent, present(imageOf(found)), memory);
      assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'ContentMismatch' });
    }
  });

  test('is left alone, and the mistake named, when another digest is declared afterwards', () => {
    const [action] = planFor(withContent, present(imageOf()), {
      ...memory,
      content: { ...sent, digest: `sha256:${'2'.repeat(64)}` },
    });
    assert.partialDeepStrictEqual(action, { kind: 'refuse', reason: 'ContentMismatch' });
  });

  test('may have been rewritten by plugins of the cloud on its way through staging', () => {
    const staged = { spec: { ...withContent.spec, content: { ...withContent.spec.content, method: 'Stage' } } };
    // What the transfer remembers is the digest of what Glance made of it, and the size of what was sent.
    const rewritten = { ...memory, content: { ...sent, size: 2048 } };
    assert.deepEqual(planFor(staged, present(imageOf({ diskFormat: 'qcow2' })), rewritten), []);
    assert.deepEqual(planFor(staged, present(imageOf()), rewritten), []);
    const [other] = planFor(
      staged,
      present(imageOf({ hash: { algorithm: 'sha512', value: '0'.repeat(128) } })),
      rewritten,
    );
    assert.partialDeepStrictEqual(other, { kind: 'reject', reason: 'ContentMismatch' });
  });

  test('and converted is right also where a crash took the memory of it', () => {
    const hash = { algorithm: 'sha256', value: '2'.repeat(64) };
    const staged = { spec: { ...withContent.spec, content: { ...withContent.spec.content, method: 'Stage' } } };
    assert.deepEqual(planFor(staged, present(imageOf({ diskFormat: 'qcow2', hash }))), []);
  });
});

describe('stores', () => {
  const inStores = (stores: string[]) => ({ spec: { image: { diskFormat: 'raw', stores } } });
  const allStores = { spec: { image: { diskFormat: 'raw', allStores: true } } };
  const held = (...stores: string[]) => present(imageOf({ stores }));

  test('that lack the data get a copy, before others lose theirs', () => {
    const [copy] = planFor(inStores(['a', 'b']), held('b', 'c'));
    assert.partialDeepStrictEqual(copy, {
      kind: 'import',
      request: { method: { name: 'copy-image' }, stores: ['a'] },
    });
    const [remove] = planFor(inStores(['a', 'b']), held('a', 'b', 'c'));
    assert.partialDeepStrictEqual(remove, { kind: 'uncopy', store: 'c' });
    assert.deepEqual(planFor(inStores(['a', 'b']), held('b', 'a')), []);
  });

  test('are all of the cloud when all are asked for', () => {
    const memory: Memory = { ...blank, storeNames: ['a', 'b'] };
    const [copy] = planFor(allStores, held('a'), memory);
    assert.partialDeepStrictEqual(copy, { kind: 'import', request: { stores: ['b'] } });
    assert.deepEqual(planFor(allStores, held('a', 'b'), memory), []);
  });

  test('that nobody declares are left as they are', () => {
    assert.deepEqual(planFor({}, held('a', 'b')), []);
  });

  test('into which Glance could not copy are a failure first, and tried again after that', () => {
    const failed = { os_glance_failed_import: 'b', ...markOf(identity) };
    const image = present(imageOf({ stores: ['a'], properties: failed }));
    assert.deepEqual(kinds(planFor(inStores(['a', 'b']), image, after('Importing', 5_000))), ['importFailed']);
    assert.deepEqual(kinds(planFor(inStores(['a', 'b']), image)), ['import']);
  });

  test('cannot be named where the cloud has only one without a name', () => {
    const [action] = planFor(inStores(['a']), present(imageOf()));
    assert.partialDeepStrictEqual(action, { kind: 'refuse', reason: 'InvalidSpec' });
  });
});
