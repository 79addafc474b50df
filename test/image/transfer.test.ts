/** What the state of a transfer means for the present declaration. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contentOf } from '../../src/image/model/content.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { Memory } from '../../src/image/model/memory.ts';
import { fillPlan, isStillWanted, readTransfer, verifyPlan } from '../../src/image/model/transfer.ts';
import type { ErrorCode } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits, type TransferPlan } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { planOf as anyPlan, resultOf } from '../transfer/plans.ts';
import { content, identity, imageOf, type ResourceOptions, resourceOf, uid } from './resource.ts';
import { before, desiredOf, knows, memoryOf, now, withContent } from './states.ts';

const terms = { address: 'https://glance.example.com', limits: defaultLimits };
const id = imageOf().id;
const second = imageIDOf(uid, 1);

function planOf(purpose: typeof fillPlan, options: ResourceOptions = withContent, imageID = id): TransferPlan {
  const resource = resourceOf(options);
  return purpose(resource, imageID, contentOf(resource) ?? assert.fail(), terms);
}

const fill = planOf(fillPlan);
const verify = planOf(verifyPlan);
const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
const ended = now.getTime() - 1_000;
const result = { ...resultOf(1024), startedAt: new Date(ended - 60_000).toISOString(), durationMs: 60_000 };
const succeeded = (plan: TransferPlan): TransferState => ({ kind: 'succeeded', plan, result });
const failed = (plan: TransferPlan, code: ErrorCode): TransferState => ({
  kind: 'failed',
  plan,
  error: new OperatorError(`it failed with ${code}`, { code }),
});
const declare = (http: object, image: object = {}): ResourceOptions => ({
  spec: { content: { http: { ...content.http, ...http } }, image: { diskFormat: 'raw', ...image } },
});
const asServed = declare({ decompress: 'None' });
const newer = declare({ digest: `sha256:${'9'.repeat(64)}` });
const right = { imageID: id, verdict: 'right', fingerprint, hash: `sha512:${'e'.repeat(128)}`, size: 1024 };
const found = (verdict: string, code: ErrorCode) => ({
  kind: 'verified',
  memory: { findings: [{ imageID: id, verdict, code, fingerprint, why: `it failed with ${code}` }] },
});

interface Row {
  what: string;
  state?: TransferState;
  options?: ResourceOptions;
  memory?: Memory;
  news: object;
}

const rows: Row[] = [
  { what: 'without a transfer there is none', news: { kind: 'none' } },
  {
    what: 'a transfer that waits is active, and names its image',
    state: { kind: 'queued', plan: fill, position: 1, queuedAt: before(0) },
    memory: memoryOf(),
    news: { kind: 'active', memory: { images: [id], next: 1 } },
  },
  {
    what: 'a transfer of another content than declared is obsolete',
    state: { kind: 'queued', plan: fill, position: 1, queuedAt: before(0) },
    options: newer,
    news: { kind: 'obsolete' },
  },
  {
    what: 'a transfer for a resource without content is obsolete',
    state: { kind: 'queued', plan: fill, position: 1, queuedAt: before(0) },
    options: {},
    news: { kind: 'obsolete' },
  },
  {
    what: 'a transfer of an older object of this name is obsolete',
    state: { kind: 'queued', plan: { ...fill, imageID: anyPlan().imageID }, position: 1, queuedAt: before(0) },
    news: { kind: 'obsolete' },
  },
  {
    what: 'a filled image has the data of its plan',
    state: succeeded(fill),
    news: {
      kind: 'verified',
      image: result.image,
      content: { imageID: id, size: 1024 },
      memory: { findings: [right] },
    },
  },
  {
    what: 'a filled image has the data of its plan, also when another content is declared by now',
    state: succeeded(fill),
    options: newer,
    news: { kind: 'verified', memory: { findings: [right] } },
  },
  {
    what: 'the image that a transfer left half a minute ago is read again',
    state: { kind: 'succeeded', plan: fill, result: { ...result, startedAt: new Date(ended - 90_000).toISOString() } },
    news: { kind: 'verified', image: undefined },
  },
  {
    what: 'the image of a transfer is remembered although the memory has lost it',
    state: succeeded(planOf(fillPlan, withContent, second)),
    memory: memoryOf(),
    news: { kind: 'verified', memory: { images: [second], next: 2 } },
  },
  {
    what: 'an image that was read back has the declared data, and the address of its source is shown',
    state: succeeded(verify),
    news: { kind: 'verified', content: { url: content.http.url }, memory: { findings: [right] } },
  },
  {
    what: 'an image that was read back for another declaration has no finding',
    state: succeeded(verify),
    options: newer,
    news: { kind: 'verified', memory: { findings: [] } },
  },
  {
    what: 'an upload that Glance rejected is a failure, and its image is incomplete',
    state: failed(fill, 'DigestMismatch'),
    news: { kind: 'failed', looks: false, memory: { interrupted: { imageID: id, isCut: true } } },
  },
  {
    what: 'an upload whose response was lost may have filled its image',
    state: failed(fill, 'GlanceUnreachable'),
    news: { kind: 'failed', looks: true, memory: { interrupted: { imageID: id, isCut: false } } },
  },
  {
    what: 'the time of an interrupted upload that is known stays',
    state: failed(fill, 'GlanceUnreachable'),
    memory: knows([imageOf()], { interrupted: { imageID: id, at: 'earlier', isCut: false } }),
    news: { kind: 'failed', memory: { interrupted: { at: 'earlier' } } },
  },
  {
    what: 'a failure of a transfer that is not wanted any more is obsolete',
    state: failed(fill, 'DigestMismatch'),
    options: newer,
    news: { kind: 'obsolete' },
  },
  {
    what: 'a failure because of the declared disk is over once another one is declared',
    state: failed(planOf(fillPlan, declare({}, { minDiskGiB: 1 })), 'MinDiskTooSmall'),
    options: declare({}, { minDiskGiB: 9 }),
    news: { kind: 'obsolete' },
  },
  {
    what: 'data that was read back and differs is wrong where the file is not compressed',
    state: failed(planOf(verifyPlan, asServed), 'DigestMismatch'),
    options: asServed,
    news: { kind: 'verified', memory: { findings: [{ verdict: 'wrong', code: 'DigestMismatch' }] } },
  },
  {
    what: 'data that was read back and differs is not verifiable where the file may be compressed',
    state: failed(verify, 'DigestMismatch'),
    news: found('unverifiable', 'DigestMismatch'),
  },
  { what: 'an unsafe image is wrong', state: failed(verify, 'UnsafeImage'), news: found('wrong', 'UnsafeImage') },
  {
    what: 'data in another format is wrong',
    state: failed(verify, 'FormatMismatch'),
    news: found('wrong', 'FormatMismatch'),
  },
  {
    what: 'data that must not be read is not verifiable',
    state: failed(verify, 'SourceForbidden'),
    news: found('unverifiable', 'SourceForbidden'),
  },
  {
    what: 'a verification that did not end says nothing of the data',
    state: failed(verify, 'SourceStalled'),
    news: { kind: 'failed', looks: false, memory: { findings: [] } },
  },
  {
    what: 'an image that was deactivated while it was read back is looked at, and nothing is found out about its data',
    state: failed(verify, 'SourceDeactivated'),
    news: { kind: 'failed', looks: true, memory: { findings: [] } },
  },
  {
    what: 'an image that vanished while it was read back is looked at',
    state: failed(verify, 'SourceNotFound'),
    news: { kind: 'failed', looks: true },
  },
];

describe('the state of a transfer', () => {
  for (const { what, state, options = withContent, memory = knows([imageOf()]), news } of rows) {
    test(what, () => {
      const read = readTransfer(resourceOf(options), state, memory, now);
      assert.partialDeepStrictEqual(read, news);
      if ('memory' in read && 'memory' in news) assert.partialDeepStrictEqual(read.memory, news.memory);
      if (read.kind === 'verified' && JSON.stringify(news).includes('"findings":[]'))
        assert.deepEqual(read.memory.findings, []);
    });
  }

  test('the properties that import plugins have set are kept', () => {
    const properties = {
      ...markOf(identity),
      [contentProperty]: fingerprint,
      plugin: 'x',
      os_glance_x: '',
      os_distro: 'y',
    };
    const image = imageOf({ properties });
    const staged = {
      spec: { content: { ...content, method: 'Stage' }, image: { diskFormat: 'raw', properties: { os_distro: 'y' } } },
    };
    const state: TransferState = { kind: 'succeeded', plan: planOf(fillPlan, staged), result: { ...result, image } };
    const read = readTransfer(resourceOf(staged), state, knows([image]), now);
    assert.deepEqual(read.kind === 'verified' && read.memory.injected, ['plugin']);
  });
});

describe('whether a transfer is still wanted', () => {
  const withDisk = (minDiskGiB: number) => declare({}, { minDiskGiB });
  const fetched = {
    spec: {
      content: { http: { ...content.http, digest: `sha512:${'1'.repeat(128)}` }, method: 'WebDownload' },
      image: { diskFormat: 'raw' },
    },
  };
  const plans: [what: string, plan: TransferPlan, options: ResourceOptions, isWanted: boolean][] = [
    ['the same declaration', fill, withContent, true],
    ['a new name and new properties', fill, declare({}, { name: 'x', properties: { a: 'b' } }), true],
    ['another digest', fill, newer, false],
    ['another URL', fill, declare({ url: 'https://example.com/other.raw' }), false],
    ['another format', fill, declare({}, { diskFormat: 'qcow2' }), false],
    ['other stores', fill, declare({}, { stores: ['a'] }), false],
    [
      'another Secret of the cloud',
      fill,
      { spec: { ...withContent.spec, cloud: { secretRef: { name: 'other' }, name: 'demo' } } },
      false,
    ],
    ['a larger disk', planOf(fillPlan, withDisk(1)), withDisk(9), true],
    ['a smaller disk', planOf(fillPlan, withDisk(9)), withDisk(1), false],
    ['the first bound on the disk', fill, withDisk(1), false],
    ['no bound on the disk', planOf(fillPlan, withDisk(9)), withDisk(0), true],
    ['a download by Glance', fill, fetched, false],
    ['a read back of what Glance downloaded', planOf(verifyPlan, fetched), fetched, true],
    ['a read back for another digest', verify, newer, false],
    ['no content', fill, {}, false],
  ];
  for (const [what, plan, options, isWanted] of plans) {
    test(`a transfer is ${isWanted ? 'still' : 'no longer'} wanted with ${what}`, () => {
      assert.equal(isStillWanted(plan, resourceOf(options)), isWanted);
    });
  }
});
