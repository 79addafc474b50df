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

  test('imported data stays hidden until it is verified', () => {
    const [create] = planFor(fetched, { kind: 'absent', incarnation: 0 });
    assert.partialDeepStrictEqual(create, { kind: 'create', image: unseen });
    const [patch] = planFor(fetched, present(imageOf(unseen)));
    assert.deepEqual(patch?.kind === 'patch' && patch.operations, [
      { op: 'replace', path: '/visibility', value: 'public' },
      { op: 'replace', path: '/os_hidden', value: false },
    ]);
  });

  test('an import is started once and watched until it has ended', () => {
    assert.deepEqual(kinds(planFor(fetched, present(queued))), ['import']);
    for (const status of ['queued', 'importing', 'active']) {
      const [wait] = planFor(fetched, present({ ...queued, status, properties: lock }));
      assert.partialDeepStrictEqual(wait, { kind: 'wait', phase: 'Importing' });
    }
  });

  test('a long import is checked at growing intervals', () => {
    const importing = present({ ...queued, status: 'importing', properties: lock });
    const waits = [0, 5_000, 60_000, 3_600_000].map((ms) => planFor(fetched, importing, after('Importing', ms))[0]);
    assert.deepEqual(
      waits.map((wait) => wait?.kind === 'wait' && wait.ms),
      [1_000, 1_000, 6_000, 30_000],
    );
  });

  test('an import without data is first reported as a failure and then started again', () => {
    assert.deepEqual(kinds(planFor(fetched, present(queued), after('Importing', 5_000))), ['importFailed']);
    assert.deepEqual(kinds(planFor(fetched, present(queued))), ['import']);
  });

  test('imported data with another digest than declared is deleted', () => {
    const other = imageOf({ ...unseen, hash: { algorithm: 'sha512', value: 'f'.repeat(128) } });
    const [action] = planFor(fetched, present(other));
    assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'DigestMismatch' });
  });

  test('imported data that cannot be verified is deleted', () => {
    for (const hash of [null, { algorithm: 'blake2b', value: 'f'.repeat(128) }]) {
      const [action] = planFor(fetched, present(imageOf({ ...unseen, hash })));
      assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'ContentMismatch' });
    }
  });

  test('an image whose import task has disappeared is created again', () => {
    const stuck = present({ ...queued, status: 'importing' });
    assert.deepEqual(kinds(planFor(fetched, stuck, after('Waiting', savingGraceMs))), ['replace']);
  });
});

describe('data that was sent', () => {
  const sent = { url: content.http.url, digest, imageDigest: `sha512:${'e'.repeat(128)}`, size: 1024 };
  const memory: Memory = { ...blank, sent: { imageID: imageOf().id, content: sent }, readyImageID: imageOf().id };

  test('an uploaded image as it was sent needs no step', () => {
    assert.deepEqual(planFor(withContent, present(imageOf()), memory), []);
  });

  test('an uploaded image with another size or digest is deleted', () => {
    for (const found of [{ size: 1023, hash: null }, { hash: { algorithm: 'sha512', value: '0'.repeat(128) } }]) {
      const [action] = planFor(withContent, present(imageOf(found)), memory);
      assert.partialDeepStrictEqual(action, { kind: 'reject', reason: 'ContentMismatch' });
    }
  });

  test('an uploaded image stays, and an error is reported, when another digest is declared later', () => {
    const [action] = planFor(withContent, present(imageOf()), {
      ...memory,
      sent: { imageID: imageOf().id, content: { ...sent, digest: `sha256:${'2'.repeat(64)}` } },
    });
    assert.partialDeepStrictEqual(action, { kind: 'refuse', reason: 'ContentMismatch' });
  });

  test('staged data may have been rewritten by plugins of the cloud', () => {
    const staged = { spec: { ...withContent.spec, content: { ...withContent.spec.content, method: 'Stage' } } };
    // The transfer recorded the digest of the data that Glance stored, and the size of the data that was sent.
    const rewritten = { ...memory, sent: { imageID: imageOf().id, content: { ...sent, size: 2048 } } };
    assert.deepEqual(planFor(staged, present(imageOf({ diskFormat: 'qcow2' })), rewritten), []);
    assert.deepEqual(planFor(staged, present(imageOf()), rewritten), []);
    const [other] = planFor(
      staged,
      present(imageOf({ hash: { algorithm: 'sha512', value: '0'.repeat(128) } })),
      rewritten,
    );
    assert.partialDeepStrictEqual(other, { kind: 'reject', reason: 'ContentMismatch' });
  });

  test('a converted image whose record was lost in a crash is created again', () => {
    const hash = { algorithm: 'sha256', value: '2'.repeat(64) };
    const staged = { spec: { ...withContent.spec, content: { ...withContent.spec.content, method: 'Stage' } } };
    assert.deepEqual(kinds(planFor(staged, present(imageOf({ diskFormat: 'qcow2', hash })))), ['replace']);
  });
});

describe('data that nothing is recorded of', () => {
  const other = `sha512:${'f'.repeat(128)}`;
  const declared = (http: object, more: object = {}) => ({
    spec: { content: { http: { ...content.http, ...http } }, image: { diskFormat: 'raw', ...more } },
  });
  const right = { digest: `sha512:${'e'.repeat(128)}`, decompress: 'None' };
  const wasReady: Memory = { ...blank, readyImageID: imageOf().id };
  const sentElsewhere: Memory = {
    ...blank,
    sent: { imageID: '6b1fd7a2-0000-5000-8000-000000000000', content: { url: content.http.url, digest } },
    readyImageID: '6b1fd7a2-0000-5000-8000-000000000000',
  };

  test('an image with the declared digest is right, whether it was Ready or not', () => {
    for (const memory of [blank, wasReady, sentElsewhere]) {
      assert.deepEqual(planFor(declared(right), present(imageOf()), memory), []);
    }
  });

  const rows = [
    { what: 'another algorithm', options: withContent, image: {}, reason: 'NotVerifiable' },
    { what: 'no digest', options: declared(right), image: { hash: null }, reason: 'NotVerifiable' },
    {
      what: 'the digest of a compressed file',
      options: declared({ digest: other, decompress: 'Auto' }),
      image: {},
      reason: 'NotVerifiable',
    },
    {
      what: 'a source that has the digest itself',
      options: { spec: { content: { glance: { image: imageOf().id } }, image: { diskFormat: 'raw' } } },
      image: {},
      reason: 'NotVerifiable',
    },
    {
      what: 'another digest of the same algorithm',
      options: declared({ ...right, digest: other }),
      image: {},
      reason: 'ContentMismatch',
    },
    {
      what: 'the declared digest in another format',
      options: declared(right, { diskFormat: 'iso' }),
      image: {},
      reason: 'ContentMismatch',
    },
  ];
  for (const { what, options, image, reason } of rows) {
    test(`${what}: an image that was never Ready is created again`, () => {
      for (const memory of [blank, sentElsewhere]) {
        assert.deepEqual(kinds(planFor(options, present(imageOf(image)), memory)), ['replace']);
      }
    });

    test(`${what}: an image that was Ready stays, and the reason is ${reason}`, () => {
      const actions = planFor(options, present(imageOf(image)), wasReady);
      assert.partialDeepStrictEqual(actions, [{ kind: 'refuse', reason }]);
      assert.equal(actions.length, 1);
    });
  }

  test('a source that has the digest itself must be the one that was recorded', () => {
    const copy = { spec: { content: { glance: { image: imageOf().id } }, image: { diskFormat: 'raw' } } };
    const from = (id: string): Memory => ({
      ...blank,
      sent: { imageID: imageOf().id, content: { url: `glance://${id}`, digest } },
    });
    assert.deepEqual(planFor(copy, present(imageOf()), from(imageOf().id)), []);
    const elsewhere = from('6b1fd7a2-0000-5000-8000-000000000000');
    assert.deepEqual(kinds(planFor(copy, present(imageOf()), elsewhere)), ['replace']);
  });
});

describe('stores', () => {
  const inStores = (stores: string[]) => ({ spec: { image: { diskFormat: 'raw', stores } } });
  const allStores = { spec: { image: { diskFormat: 'raw', allStores: true } } };
  const held = (...stores: string[]) => present(imageOf({ stores }));

  test('declared stores get a copy before other stores lose theirs', () => {
    const [copy] = planFor(inStores(['a', 'b']), held('b', 'c'));
    assert.partialDeepStrictEqual(copy, {
      kind: 'import',
      request: { method: { name: 'copy-image' }, stores: ['a'] },
    });
    const [remove] = planFor(inStores(['a', 'b']), held('a', 'b', 'c'));
    assert.partialDeepStrictEqual(remove, { kind: 'uncopy', store: 'c' });
    assert.deepEqual(planFor(inStores(['a', 'b']), held('b', 'a')), []);
  });

  test('every store of the cloud is used when all stores are declared', () => {
    const memory: Memory = { ...blank, storeNames: ['a', 'b'] };
    const [copy] = planFor(allStores, held('a'), memory);
    assert.partialDeepStrictEqual(copy, { kind: 'import', request: { stores: ['b'] } });
    assert.deepEqual(planFor(allStores, held('a', 'b'), memory), []);
  });

  test('stores are left unchanged when none are declared', () => {
    assert.deepEqual(planFor({}, held('a', 'b')), []);
  });

  test('a failed copy to a store is first reported and then retried', () => {
    const failed = { os_glance_failed_import: 'b', ...markOf(identity) };
    const image = present(imageOf({ stores: ['a'], properties: failed }));
    assert.deepEqual(kinds(planFor(inStores(['a', 'b']), image, after('Importing', 5_000))), ['importFailed']);
    assert.deepEqual(kinds(planFor(inStores(['a', 'b']), image)), ['import']);
  });

  test('declared stores are an error in a cloud with a single unnamed store', () => {
    const [action] = planFor(inStores(['a']), present(imageOf()));
    assert.partialDeepStrictEqual(action, { kind: 'refuse', reason: 'InvalidSpec' });
  });
});
