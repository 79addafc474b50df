import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { contentProperty, markOf } from '../../src/image/model/identity.ts';
import type { DataFinding, Memory } from '../../src/image/model/memory.ts';
import { cutUploadMs, isUsable } from '../../src/image/model/revisions.ts';
import { content, identity, imageOf, type ResourceOptions, resourceOf } from './resource.ts';
import {
  before,
  desiredOf,
  found,
  knows,
  outline,
  planFor,
  now as present,
  promotes,
  stateOf,
  withContent,
} from './states.ts';

const fingerprintIn = (options: ResourceOptions) => desiredOf(options).fingerprint ?? assert.fail();
/** Active, and made for this declaration. */
const made = (options: ResourceOptions, fields: Partial<Image> = {}) =>
  imageOf({ properties: { ...markOf(identity), [contentProperty]: fingerprintIn(options) }, ...fields });
const planOf = (options: ResourceOptions, image: Image, memory?: Memory) =>
  outline(planFor(options, stateOf([image], memory)));

describe('data that Glance fetches by itself', () => {
  const sha512 = `sha512:${'e'.repeat(128)}`;
  const fetched = {
    spec: {
      content: { http: { ...content.http, digest: sha512 }, method: 'WebDownload' },
      image: { diskFormat: 'raw', visibility: 'public' },
    },
  };
  const unseen = { visibility: 'private', hidden: true };
  const queued = made(fetched, { ...unseen, status: 'queued', checksum: null, hash: null, size: null });
  const locked = { ...queued, properties: { ...queued.properties, os_glance_import_task: 'some task' } };
  const asked = (kind: 'fetch' | 'found', ms: number) =>
    knows([queued], { import: { imageID: queued.id, kind, at: before(ms) } });
  const finding = (verdict: DataFinding['verdict']) => ({
    imageID: queued.id,
    fingerprint: fingerprintIn(fetched),
    verdict,
    why: 'it has a backing file',
    code: 'UnsafeImage' as const,
  });

  test('imported data stays hidden until it is inspected', () => {
    const [create] = planFor(fetched, stateOf([])).steps;
    assert.partialDeepStrictEqual(create, { kind: 'create', image: unseen });
    const image = made(fetched, unseen);
    assert.deepEqual(planOf(fetched, image), ['→ inspect 0']);
    const [patch] = planFor(fetched, stateOf([image], found(knows([image]), finding('right')))).steps;
    assert.deepEqual(patch?.kind === 'patch' && patch.operations, [
      { op: 'replace', path: '/visibility', value: 'public' },
      { op: 'replace', path: '/os_hidden', value: false },
    ]);
  });

  test('an import is started once and watched until it has ended', () => {
    assert.deepEqual(planOf(fetched, queued), ['import 0 web-download', '→ Importing 0']);
    for (const status of ['queued', 'importing']) {
      assert.deepEqual(planOf(fetched, { ...locked, status }), ['→ Importing 0']);
    }
  });

  test('a long import is checked at growing intervals', () => {
    const waits = [0, 5_000, 60_000, 3_600_000].map((ms) => {
      const { next } = planFor(fetched, stateOf([{ ...locked, status: 'importing' }], asked('found', ms)));
      return next.kind === 'wait' && next.ms;
    });
    assert.deepEqual(waits, [1_000, 1_000, 6_000, 30_000]);
  });

  test('an import without data is first reported as a failure and then started again', () => {
    assert.deepEqual(planOf(fetched, queued, asked('fetch', 5_000)), ['→ importFailed 0']);
    assert.deepEqual(planOf(fetched, queued), ['import 0 web-download', '→ Importing 0']);
  });

  test('imported data with another digest than declared is deleted, and that is reported before another import', () => {
    const other = made(fetched, { ...unseen, hash: { algorithm: 'sha512', value: 'f'.repeat(128) } });
    assert.deepEqual(planOf(fetched, other), ['delete 0', '→ DigestMismatch']);
  });

  test('imported data whose inspection showed a fault is deleted with the reason of that fault', () => {
    const image = made(fetched, unseen);
    assert.deepEqual(planOf(fetched, image, found(knows([image]), finding('wrong'))), ['delete 0', '→ UnsafeImage']);
  });

  test('imported data whose digest cannot be compared is read back', () => {
    for (const hash of [null, { algorithm: 'blake2b', value: 'f'.repeat(128) }]) {
      assert.deepEqual(planOf(fetched, made(fetched, { ...unseen, hash })), ['→ verify 0']);
    }
  });

  test('an image whose import task has disappeared is created again', () => {
    const stuck = { ...queued, status: 'importing' };
    const memory = knows([stuck], { interrupted: { imageID: stuck.id, at: before(cutUploadMs), isCut: false } });
    assert.deepEqual(planOf(fetched, stuck, memory), [
      'delete 0',
      'create 1',
      'import 1 web-download',
      '→ Importing 1',
    ]);
  });
});

describe('data that was sent', () => {
  const sent = { fingerprint: fingerprintIn(withContent), hash: `sha512:${'e'.repeat(128)}`, size: 1024 };
  const image = made(withContent);
  const verified = (more: Partial<DataFinding> = {}) =>
    found(promotes(image), { imageID: image.id, verdict: 'right', ...sent, ...more });

  test('an uploaded image as it was sent needs no step', () => {
    assert.deepEqual(planOf(withContent, image, verified()), ['→ settled 0']);
  });

  test('an uploaded image that consumers cannot see, with another size or digest, is deleted, and that is reported', () => {
    const memory = { ...verified(), published: [], promoted: undefined };
    for (const now of [{ size: 1023, hash: null }, { hash: { algorithm: 'sha512', value: '0'.repeat(128) } }]) {
      const hidden = { ...image, hidden: true, ...now };
      assert.deepEqual(planOf(withContent, hidden, memory), ['delete 0', '→ UploadMismatch']);
      assert.deepEqual(planOf(withContent, { ...hidden, hidden: false }, memory), ['create 1', '→ fill 1']);
    }
  });

  test('an image in use with another size or digest than was sent is replaced by another one', () => {
    for (const now of [{ size: 1023, hash: null }, { hash: { algorithm: 'sha512', value: '0'.repeat(128) } }]) {
      assert.deepEqual(planOf(withContent, { ...image, ...now }, verified()), ['create 1', '→ fill 1']);
    }
  });

  test('an image in use stays while another one gets the data of a digest that is declared later', () => {
    const later = {
      spec: { ...withContent.spec, content: { http: { ...content.http, digest: `sha256:${'2'.repeat(64)}` } } },
    };
    assert.deepEqual(planOf(later, image, verified()), ['create 1', '→ fill 1']);
  });

  test('staged data may have been rewritten by plugins of the cloud', () => {
    const staged = { spec: { ...withContent.spec, content: { ...content, method: 'Stage' } } };
    // The transfer recorded the digest of the data that Glance stored, and the size of the data that was sent.
    const rewritten = verified({ size: 2048 });
    assert.deepEqual(planOf(staged, { ...image, diskFormat: 'qcow2' }, rewritten), ['→ settled 0']);
    assert.deepEqual(planOf(staged, image, rewritten), ['→ settled 0']);
    const other = { ...image, hash: { algorithm: 'sha512', value: '0'.repeat(128) } };
    assert.deepEqual(planOf(staged, other, rewritten), ['create 1', '→ fill 1']);
  });

  test('a converted image whose record was lost in a crash is created again', () => {
    const hash = { algorithm: 'sha256', value: '2'.repeat(64) };
    const staged = { spec: { ...withContent.spec, content: { ...content, method: 'Stage' } } };
    const converted = made(staged, { diskFormat: 'qcow2', hash });
    assert.deepEqual(planOf(staged, converted), ['create 1', '→ fill 1']);
    assert.deepEqual(planOf(staged, { ...converted, hidden: true }), ['delete 0', 'create 1', '→ fill 1']);
  });
});

describe('data that nothing is recorded of', () => {
  const other = `sha512:${'f'.repeat(128)}`;
  const declared = (http: object, more: object = {}) => ({
    spec: { content: { http: { ...content.http, ...http } }, image: { diskFormat: 'raw', ...more } },
  });
  const right = { digest: `sha512:${'e'.repeat(128)}`, decompress: 'None' };

  test('an image with the declared digest is right, whether consumers know it or not', () => {
    const image = made(declared(right));
    for (const memory of [knows([image]), promotes(image)]) {
      assert.deepEqual(planOf(declared(right), image, memory), ['→ settled 0']);
    }
  });

  test('an image with the declared digest and without a fingerprint gets that', () => {
    assert.deepEqual(planOf(declared(right), imageOf()), [`patch 0 /${contentProperty}`, '→ settled 0']);
  });

  const glance = { spec: { content: { glance: { image: imageOf().id } }, image: { diskFormat: 'raw' } } };
  type Outcome = 'is read back' | 'is replaced' | 'is deleted and reported';
  const rows: { what: string; options: ResourceOptions; image: Image; outcome: Outcome }[] = [
    { what: 'another algorithm', options: withContent, image: imageOf(), outcome: 'is read back' },
    { what: 'no hash', options: declared(right), image: imageOf({ hash: null }), outcome: 'is read back' },
    {
      what: 'the digest of a compressed file',
      options: declared({ digest: other, decompress: 'Auto' }),
      image: imageOf(),
      outcome: 'is replaced',
    },
    { what: 'a source that has the digest itself', options: glance, image: imageOf(), outcome: 'is replaced' },
    {
      what: 'another digest, and no fingerprint',
      options: declared({ ...right, digest: other }),
      image: imageOf(),
      outcome: 'is replaced',
    },
    {
      what: 'another digest, although it was made for this one',
      options: declared({ ...right, digest: other }),
      image: made(declared({ ...right, digest: other })),
      outcome: 'is deleted and reported',
    },
    {
      what: 'the declared digest in another format',
      options: declared(right, { diskFormat: 'iso' }),
      image: imageOf(),
      outcome: 'is replaced',
    },
  ];
  const replaced = {
    'is read back': { hidden: ['→ verify 0'], visible: ['→ verify 0'], inUse: ['→ verify 0'] },
    'is replaced': {
      hidden: ['delete 0', 'create 1', '→ fill 1'],
      visible: ['create 1', '→ fill 1'],
      inUse: ['create 1', '→ fill 1'],
    },
    'is deleted and reported': {
      hidden: ['delete 0', '→ UploadMismatch'],
      visible: ['create 1', '→ fill 1'],
      inUse: ['create 1', '→ fill 1'],
    },
  };
  for (const { what, options, image, outcome } of rows) {
    test(`an image with ${what} ${outcome} if it is hidden and no consumer knows it`, () => {
      assert.deepEqual(planOf(options, { ...image, hidden: true }), replaced[outcome].hidden);
    });

    const inSight = outcome === 'is deleted and reported' ? 'stays until another one is verified' : outcome;
    test(`an image with ${what} ${inSight} if lists show it and no status names it`, () => {
      assert.deepEqual(planOf(options, image), replaced[outcome].visible);
    });

    test(`an image in use with ${what} stays until another one is verified`, () => {
      assert.deepEqual(planOf(options, image, promotes(image)), replaced[outcome].inUse);
    });
  }

  test('a source that has the digest itself must be the one that was recorded', () => {
    const image = made(glance);
    const finding = { imageID: image.id, verdict: 'right' as const };
    const same = found(knows([image]), { ...finding, fingerprint: fingerprintIn(glance) });
    assert.deepEqual(planOf(glance, image, same), ['→ settled 0']);
    const elsewhere = found(knows([image]), { ...finding, fingerprint: 'v1;glance=another;raw;bare' });
    assert.deepEqual(planOf(glance, image, elsewhere), ['create 1', '→ fill 1']);
  });

  test('a source image with the same ID in another cloud is copied again, and the copy that is in use stays until then', () => {
    const from = (cloud?: object) => ({
      spec: { content: { glance: { image: imageOf().id, cloud } }, image: { diskFormat: 'raw' } },
    });
    const here = from();
    const { cloud } = resourceOf(here).spec;
    const there = from({ secretRef: { name: 'other' }, name: 'x' });
    const copyOf = (options: ResourceOptions) => {
      const image = made(options);
      const { binding: fingerprint = assert.fail() } = desiredOf(options);
      return { image, memory: found(promotes(image), { imageID: image.id, verdict: 'right', fingerprint }) };
    };
    const rows: [declared: ResourceOptions, now: ResourceOptions, isKept: boolean][] = [
      [here, here, true],
      [here, from({ ...cloud }), true],
      [here, there, false],
      [there, there, true],
      [there, here, false],
      [there, from({ secretRef: { name: 'other' }, name: 'y' }), false],
      [there, from({ secretRef: { name: 'other' }, name: 'x', region: 'second' }), false],
    ];
    for (const [declared, now, isKept] of rows) {
      const { image, memory } = copyOf(declared);
      assert.equal(desiredOf(now).fingerprint, desiredOf(declared).fingerprint);
      assert.deepEqual(planOf(now, image, memory), isKept ? ['→ settled 0'] : ['create 1', '→ fill 1']);
      assert.ok(isUsable(image, desiredOf(now), memory, present));
    }
  });
});

describe('stores', () => {
  const inStores = (stores: string[]) => ({ spec: { image: { diskFormat: 'raw', stores } } });
  const allStores = { spec: { image: { diskFormat: 'raw', allStores: true } } };
  const held = (...stores: string[]) => imageOf({ stores });

  test('declared stores get a copy before other stores lose theirs', () => {
    const image = held('b', 'c');
    const { steps } = planFor(inStores(['a', 'b']), stateOf([image], promotes(image)));
    assert.partialDeepStrictEqual(steps, [
      { kind: 'import', request: { method: { name: 'copy-image' }, stores: ['a'] } },
    ]);
    const full = held('a', 'b', 'c');
    assert.deepEqual(planOf(inStores(['a', 'b']), full, promotes(full)), ['remove 0 from c', '→ settled 0']);
    assert.deepEqual(planOf(inStores(['a', 'b']), held('b', 'a')), ['→ settled 0']);
  });

  test('an image is the one to use before its data is copied to more stores', () => {
    assert.deepEqual(planOf(inStores(['a', 'b']), held('b')), ['record 0', 'import 0 copy-image', '→ Importing 0']);
  });

  test('the record of an image is changed while its data is copied to another store', () => {
    const image = imageOf({ stores: ['a'], properties: { ...markOf(identity), os_glance_import_task: 'some task' } });
    const options = { spec: { image: { diskFormat: 'raw', stores: ['a', 'b'], tags: ['new'] } } };
    assert.deepEqual(planOf(options, image, promotes(image)), ['patch 0 /tags', '→ Importing 0']);
  });

  test('every store of the cloud is used when all stores are declared', () => {
    const planIn = (image: Image) => {
      const state = stateOf([image], promotes(image));
      return planFor(allStores, { ...state, observed: { ...state.observed, storeNames: ['a', 'b'] } });
    };
    assert.partialDeepStrictEqual(planIn(held('a')).steps, [{ kind: 'import', request: { stores: ['b'] } }]);
    assert.deepEqual(outline(planIn(held('a', 'b'))), ['→ settled 0']);
  });

  test('stores are left unchanged when none are declared', () => {
    assert.deepEqual(planOf({}, held('a', 'b')), ['→ settled 0']);
  });

  test('a failed copy to a store is first reported and then retried', () => {
    const image = imageOf({ stores: ['a'], properties: { os_glance_failed_import: 'b', ...markOf(identity) } });
    const copy = { imageID: image.id, kind: 'copy' as const, stores: ['b'], at: before(5_000) };
    assert.deepEqual(planOf(inStores(['a', 'b']), image, promotes(image, { import: copy })), ['→ importFailed 0']);
    assert.deepEqual(planOf(inStores(['a', 'b']), image, promotes(image)), ['import 0 copy-image', '→ Importing 0']);
  });

  test('declared stores are an error in a cloud with a single unnamed store', () => {
    const image = imageOf();
    assert.deepEqual(planOf(inStores(['a']), image, promotes(image)), ['→ InvalidSpec']);
  });
});
