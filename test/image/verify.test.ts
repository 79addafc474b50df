/** What an active image is worth for a declaration, and what state it is in. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import type { Content } from '../../src/image/model/content.ts';
import { contentProperty } from '../../src/image/model/identity.ts';
import type { DataFinding } from '../../src/image/model/memory.ts';
import { type Stage, stageOf } from '../../src/image/model/revisions.ts';
import { hashOf, mismatchOf, type Verdict, verify } from '../../src/image/model/verify.ts';
import { content, imageOf, type ResourceOptions } from './resource.ts';
import { before, desiredOf, found, knows, now } from './states.ts';

const right = { algorithm: 'sha512', value: 'e'.repeat(128) };
const wrong = { algorithm: 'sha512', value: 'f'.repeat(128) };
const other = { algorithm: 'sha256', value: '2'.repeat(64) };
const served = { ...content.http, digest: `sha512:${right.value}`, decompress: 'None' };
const declare = (declared: object, image: object = {}): ResourceOptions => ({
  spec: { content: declared, image: { diskFormat: 'raw', ...image } },
});
const comparable = declare({ http: served });
const decompressed = declare({ http: { ...served, decompress: 'Auto' } });
const incomparable = declare(content);
const fetched = declare({ http: served, method: 'WebDownload' });
const staged = declare({ http: served, method: 'Stage' });
const converted = declare({ http: served, convert: 'Raw' });
const glance = declare({ glance: { image: imageOf().id } });
const contentIn = (options: ResourceOptions): Content => desiredOf(options).content ?? assert.fail();
const fingerprintIn = (options: ResourceOptions): string => desiredOf(options).fingerprint ?? assert.fail();
const marked = (fingerprint: string) => ({ [contentProperty]: fingerprint });

describe('the verdict on an active image', () => {
  const finding = (options: ResourceOptions, more: Partial<DataFinding> = {}): DataFinding => ({
    imageID: imageOf().id,
    fingerprint: fingerprintIn(options),
    verdict: 'right',
    hash: `sha512:${right.value}`,
    size: 1024,
    ...more,
  });
  const rows: [what: string, options: ResourceOptions, image: Partial<Image>, Verdict['kind'], DataFinding?][] = [
    ['the declared digest', comparable, {}, 'right'],
    [
      'data that was staged and verified, and another size now',
      staged,
      { hash: null, size: 2048 },
      'right',
      finding(staged),
    ],
    [
      'data that was sent and verified, and another size now',
      comparable,
      { hash: null, size: 2048 },
      'wrong',
      finding(comparable),
    ],
    ['the declared digest, in any method of upload', staged, {}, 'right'],
    [
      'the declared digest, and formats that a plugin of the cloud set',
      staged,
      { diskFormat: 'qcow2', properties: marked(fingerprintIn(staged)) },
      'right',
    ],
    [
      'the declared digest, made for another format than is declared now, in any method of upload',
      staged,
      { diskFormat: 'qcow2', properties: marked(fingerprintIn(declare({ http: served }, { diskFormat: 'qcow2' }))) },
      'wrong',
    ],
    ['another digest', comparable, { hash: wrong }, 'wrong'],
    ['a digest of another algorithm', comparable, { hash: other }, 'unread'],
    ['no digest', comparable, { hash: null }, 'unread'],
    ['a digest that is declared in another algorithm', incomparable, {}, 'unread'],
    ['another digest where the file may be compressed', decompressed, { hash: wrong }, 'unverifiable'],
    ['the digest of a file that turned out not to be compressed', decompressed, {}, 'right'],
    ['the digest of the archive', declare({ http: { ...served, decompress: 'Auto', member: 'a' } }), {}, 'wrong'],
    [
      'the digest of the file of an archive',
      declare({ http: { ...served, decompress: 'Auto', digestOf: 'Image', member: 'a' } }),
      {},
      'right',
    ],
    ['the declared digest in another format', comparable, { diskFormat: 'iso' }, 'wrong'],
    ['another container format', comparable, { hash: null, containerFormat: 'ovf' }, 'wrong'],
    ['the declared digest, fetched by Glance', fetched, {}, 'uninspected'],
    ['another digest, fetched by Glance', fetched, { hash: wrong }, 'wrong'],
    ['another format after an import plugin', staged, { diskFormat: 'qcow2', hash: other }, 'unverifiable'],
    ['another digest and format after an import plugin', staged, { diskFormat: 'qcow2', hash: wrong }, 'unverifiable'],
    ['the digest of the file before its conversion', converted, {}, 'wrong'],
    ['another digest than the file had before its conversion', converted, { hash: wrong }, 'unverifiable'],
    ['a digest that cannot be compared with the one before the conversion', converted, { hash: other }, 'unverifiable'],
    ['the disk that was made by a verified conversion', converted, {}, 'right', finding(converted)],
    [
      'another format than the conversion makes',
      converted,
      { diskFormat: 'qcow2', properties: marked(fingerprintIn(declare({ http: served }, { diskFormat: 'qcow2' }))) },
      'wrong',
    ],
    [
      'the declared digest of the disk that a conversion makes',
      declare({ http: { ...served, digestOf: 'Image' }, convert: 'Raw' }),
      {},
      'right',
    ],
    ['no declared digest', glance, {}, 'unverifiable'],
    [
      'the fingerprint of another digest',
      incomparable,
      { properties: marked(`v1;sha256:${'9'.repeat(64)};Served;Auto;raw;bare`) },
      'wrong',
    ],
    [
      'the fingerprint of a digest of another algorithm',
      incomparable,
      { properties: marked(`v1;sha512:${'9'.repeat(128)};Served;Auto;raw;bare`) },
      'unread',
    ],
    ['data that was verified', incomparable, {}, 'right', finding(incomparable)],
    ['data that was verified, and another hash now', incomparable, { hash: wrong }, 'wrong', finding(incomparable)],
    [
      'the fingerprint of another file of the same archive',
      declare({ http: { ...content.http, member: 'b.raw' } }),
      { properties: marked(`v1;${content.http.digest};Served;Auto;raw;bare;member=a.raw`) },
      'unverifiable',
    ],
    ['data that was verified, and no hash now', incomparable, { hash: null }, 'right', finding(incomparable)],
    [
      'data that was verified, and neither a hash nor its size now',
      incomparable,
      { hash: null, size: 1 },
      'wrong',
      finding(incomparable),
    ],
    ['data that was verified without a size', glance, { hash: null }, 'right', finding(glance, { size: undefined })],
    ['staged data that was verified, and is larger now', staged, { size: 4096 }, 'right', finding(staged)],
    ['data that was found to be wrong', comparable, {}, 'wrong', finding(comparable, { verdict: 'wrong' })],
    ['data that cannot be read', comparable, {}, 'unverifiable', finding(comparable, { verdict: 'unverifiable' })],
    ['fetched data that was inspected', fetched, {}, 'right', finding(fetched)],
    ['data that was verified for another content', incomparable, {}, 'unread', finding(comparable)],
  ];
  for (const [what, options, image, kind, found] of rows) {
    test(`an image with ${what} is ${kind}`, () => {
      const verdict = verify(contentIn(options), fingerprintIn(options), imageOf({ properties: {}, ...image }), found);
      assert.equal(verdict.kind, kind, JSON.stringify(verdict));
      if (verdict.kind === 'unverifiable' && found === undefined) assert.ok(verdict.why.length > 10);
    });
  }

  test('an image without declared content is right, whatever it holds', () => {
    for (const hash of [right, wrong, null])
      assert.deepEqual(verify(undefined, undefined, imageOf({ hash, diskFormat: 'iso' }), undefined), {
        kind: 'right',
      });
  });

  test('the reason of a wrong verdict names both digests', () => {
    const verdict = verify(contentIn(comparable), fingerprintIn(comparable), imageOf({ hash: wrong }), undefined);
    assert.match(verdict.kind === 'wrong' ? verdict.why : '', /digest sha512:f+, not the declared sha512:e+$/);
  });

  test('data that was read back and differs is wrong, unless the declared digest may be that of a compressed file', () => {
    assert.equal(mismatchOf(contentIn(comparable), 'sha512:00').kind, 'wrong');
    assert.equal(mismatchOf(contentIn(decompressed), 'sha512:00').kind, 'unverifiable');
    assert.equal(mismatchOf(contentIn(converted), 'sha512:00').kind, 'unverifiable');
    const ofImage = declare({ http: { ...served, decompress: 'Auto', digestOf: 'Image' } });
    assert.equal(mismatchOf(contentIn(ofImage), 'sha512:00').kind, 'wrong');
  });

  test('the hash of an image has its algorithm, and is absent where Glance shows none', () => {
    assert.equal(hashOf({ hash: other }), `sha256:${other.value}`);
    assert.equal(hashOf({ hash: null }), undefined);
  });
});

describe('the stage of an image', () => {
  const made = marked(fingerprintIn(comparable));
  const lock = { os_glance_import_task: 'x' };
  const id = imageOf().id;
  const cut = (ms: number, isCut = true) => ({ interrupted: { imageID: id, at: before(ms), isCut } });
  const asked = (ms: number) => ({ import: { imageID: id, kind: 'fetch' as const, at: before(ms) } });
  const hour = 3_600_000;
  const empty = { status: 'queued', hash: null, checksum: null, size: null };
  interface Row {
    what: string;
    image: Partial<Image>;
    memory?: Parameters<typeof knows>[1];
    finding?: DataFinding['verdict'];
    options?: ResourceOptions;
    stage: Partial<Stage>;
  }
  const rows: Row[] = [
    { what: 'queued without content', image: empty, options: {}, stage: { kind: 'right' } },
    { what: 'queued', image: empty, stage: { kind: 'empty' } },
    { what: 'queued with a digest', image: { ...empty, hash: right }, stage: { kind: 'useless', byUs: false } },
    { what: 'queued with a checksum', image: { ...empty, checksum: 'a' }, stage: { kind: 'useless', byUs: false } },
    { what: 'queued after an import', image: empty, memory: asked(1000), stage: { kind: 'importFailed' } },
    {
      what: 'queued after an import of the image before',
      image: empty,
      memory: { import: { imageID: 'before', kind: 'fetch', at: before(1000) } },
      stage: { kind: 'empty' },
    },
    {
      what: 'queued, although it was to be copied to another store',
      image: empty,
      memory: { import: { imageID: id, kind: 'copy', at: before(1000) } },
      stage: { kind: 'empty' },
    },
    {
      what: 'queued while it is imported',
      image: { ...empty, properties: { ...made, ...lock } },
      stage: { kind: 'moving', phase: 'Importing' },
    },
    {
      what: 'queued while data of an earlier declaration is imported',
      image: { ...empty, properties: lock },
      stage: { kind: 'useless' },
    },
    {
      what: 'queued with the lock of an import that ended two hours ago',
      image: { ...empty, properties: { ...made, ...lock } },
      memory: asked(2 * hour),
      stage: { kind: 'empty' },
    },
    {
      what: 'saving without content',
      image: { status: 'saving' },
      options: {},
      memory: cut(9 * hour),
      stage: { kind: 'moving', phase: 'Waiting' },
    },
    { what: 'saving for an earlier declaration', image: { status: 'saving' }, stage: { kind: 'useless' } },
    { what: 'saving', image: { status: 'saving', properties: made }, stage: { kind: 'moving', phase: 'Waiting' } },
    {
      what: 'saving for an hour',
      image: { status: 'saving', properties: made },
      memory: cut(hour, false),
      stage: { kind: 'useless' },
    },
    {
      what: 'saving for 20 seconds after a cut upload',
      image: { status: 'saving', properties: made },
      memory: cut(20_000),
      stage: { kind: 'useless' },
    },
    {
      what: 'saving for 19 seconds after a cut upload',
      image: { status: 'saving', properties: made },
      memory: cut(19_000),
      stage: { kind: 'moving' },
    },
    {
      what: 'uploading for 20 seconds',
      image: { status: 'uploading', properties: made },
      memory: cut(20_000, false),
      stage: { kind: 'useless' },
    },
    {
      what: 'importing with the lock of two hours ago',
      image: { status: 'importing', properties: { ...made, ...lock } },
      memory: asked(2 * hour),
      stage: { kind: 'useless' },
    },
    {
      what: 'importing',
      image: { status: 'importing', properties: { ...made, ...lock } },
      memory: asked(60_000),
      stage: { kind: 'moving', phase: 'Importing', ms: 6_000 },
    },
    { what: 'active and right', image: {}, stage: { kind: 'right' } },
    { what: 'active and unread', image: {}, options: incomparable, stage: { kind: 'unread' } },
    { what: 'active and uninspected', image: {}, options: fetched, stage: { kind: 'uninspected' } },
    { what: 'active and wrong', image: { hash: wrong }, stage: { kind: 'useless', byUs: false } },
    {
      what: 'active and wrong for us',
      image: { hash: wrong, properties: made },
      stage: { kind: 'useless', byUs: true },
    },
    { what: 'active and not verifiable', image: {}, options: glance, stage: { kind: 'useless', byUs: false } },
    { what: 'deactivated and right', image: { status: 'deactivated' }, stage: { kind: 'deactivated', isRight: true } },
    {
      what: 'deactivated before it was read',
      image: { status: 'deactivated', hash: null, properties: made },
      stage: { kind: 'deactivated', isRight: false },
    },
    {
      what: 'deactivated and known to be wrong',
      image: { status: 'deactivated', hash: wrong, properties: made },
      stage: { kind: 'useless', byUs: true },
    },
    {
      what: 'deactivated after it could not be read',
      image: { status: 'deactivated', properties: made },
      finding: 'unverifiable',
      stage: { kind: 'useless' },
    },
    {
      what: 'deactivated and made for another declaration',
      image: { status: 'deactivated', hash: null },
      stage: { kind: 'useless' },
    },
    { what: 'killed', image: { status: 'killed' }, stage: { kind: 'useless', byUs: false } },
    { what: 'of a status of later versions', image: { status: 'x' }, stage: { kind: 'moving', phase: 'Waiting' } },
  ];
  for (const { what, image, memory = {}, finding, options = comparable, stage } of rows) {
    test(`an image that is ${what} is ${JSON.stringify(stage)}`, () => {
      const one = imageOf({ properties: {}, ...image });
      const known = knows([one], memory);
      const fingerprint = fingerprintIn(comparable);
      const all = finding === undefined ? known : found(known, { imageID: id, fingerprint, verdict: finding });
      assert.partialDeepStrictEqual(stageOf(one, desiredOf(options), all, now), stage);
    });
  }
});
