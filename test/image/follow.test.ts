/** What follows from the end of a plan, and what is remembered of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { contentProperty, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { DataFinding, Memory } from '../../src/image/model/memory.ts';
import type { Next } from '../../src/image/model/step.ts';
import { fillPlan, verifyPlan } from '../../src/image/model/transfer.ts';
import { follow, remembered } from '../../src/image/reconcile/follow.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { content, identity, imageOf, projectID, resourceOf, uid } from './resource.ts';
import { before, desiredOf, found, knows, now, observedOf, promotes, withContent } from './states.ts';

const image = imageOf();
const desired = desiredOf(withContent);
const declared = desired.content ?? assert.fail();
const fill: Next = { kind: 'transfer', image, content: declared, purpose: 'fill' };
const verify: Next = { ...fill, purpose: 'verify' };

describe('the end of a plan', () => {
  const resource = resourceOf(withContent);
  const terms = { address: 'https://glance.example.com', limits: defaultLimits };
  const plan = fillPlan(resource, image.id, contentOf(resource) ?? assert.fail(), terms);
  // Its failure may be wrong about the image, so the image is looked at.
  const error = new OperatorError('409', { code: 'Conflict' });
  const failed: TransferState = { kind: 'failed', plan, error };
  const unread: TransferState = {
    kind: 'failed',
    plan: verifyPlan(resource, imageIDOf(uid, 1), declared, terms),
    error: new OperatorError('no image found', { code: 'SourceNotFound' }),
  };
  const rows: { what: string; next: Next; options?: ContextOptions; end: object; started?: object[] }[] = [
    { what: 'a settled image ends it', next: { kind: 'settled', image }, end: { kind: 'converged' } },
    {
      what: 'a wait says for which image, why and how long',
      next: { kind: 'wait', image, phase: 'Importing', why: 'x', ms: 5 },
      end: { kind: 'waiting', imageID: image.id, phase: 'Importing', why: 'x', ms: 5 },
    },
    {
      what: 'an empty image is filled',
      next: fill,
      end: { kind: 'transferring', state: { kind: 'queued' } },
      started: [{ imageID: image.id, method: 'Upload' }],
    },
    {
      what: 'data that nothing is known of is read back',
      next: verify,
      end: { kind: 'transferring', state: { kind: 'queued' } },
      started: [{ imageID: image.id, method: 'Verify' }],
    },
    {
      what: 'a transfer that has just failed is not started again before its time',
      next: fill,
      options: { transfer: failed },
      end: { kind: 'failed', error },
    },
    {
      what: 'an image is filled at once although another one could not be read back, because that is gone',
      next: fill,
      options: { transfer: unread },
      end: { kind: 'transferring' },
      started: [{ imageID: image.id, method: 'Upload' }],
    },
    {
      what: 'a failed upload that left data in Glance is followed by a verification of that',
      next: verify,
      options: { transfer: failed },
      end: { kind: 'transferring' },
      started: [{ method: 'Verify' }],
    },
    {
      what: 'nothing starts while the operator stops',
      next: fill,
      options: { cannotStart: true },
      end: { kind: 'waiting', why: 'the operator is stopping' },
      started: [{}],
    },
    {
      what: 'a failed import is a failure with its reason',
      next: { kind: 'importFailed', image, what: 'the data' },
      end: { kind: 'failed' },
    },
    {
      what: 'a plan that cannot go on is a failure',
      next: { kind: 'blocked', code: 'TakenOver', message: 'it belongs to another owner' },
      end: { kind: 'failed' },
    },
  ];
  for (const { what, next, options, end, started = [] } of rows) {
    test(what, async () => {
      const { pass, cloud, context, reached } = passOf({ resource: withContent, ...options });
      const ended = await follow(next, pass, cloud, context);
      if (ended.kind === 'failed' && next.kind === 'blocked') assert.equal(ended.error.code, next.code);
      if (ended.kind === 'failed' && next.kind === 'importFailed') assert.equal(ended.error.code, 'ImportFailed');
      if (ended.kind === 'failed' && 'error' in end) assert.equal(ended.error, error);
      else assert.partialDeepStrictEqual(ended, end);
      assert.equal(reached.started.length, started.length);
      assert.partialDeepStrictEqual(reached.started, started);
    });
  }
});

describe('the memory after a reconcile', () => {
  const fingerprint = desired.fingerprint ?? assert.fail();
  const hash = `sha512:${'e'.repeat(128)}`;
  const made = imageOf({ properties: { ...markOf(identity), [contentProperty]: fingerprint } });
  const locked = imageOf({ properties: { ...made.properties, os_glance_import_task: 'x' } });
  const id = made.id;
  const at = before(60_000);
  const right: DataFinding = { imageID: id, fingerprint, verdict: 'right', hash, size: 1024 };
  const earlier: DataFinding = { ...right, fingerprint: 'v1;sha256:00;Served;Auto;raw;bare' };
  const running = { imageID: id, kind: 'fetch' as const, at };
  const interrupted = { imageID: id, at, isCut: true };
  const settled = (one: Image): Next => ({ kind: 'settled', image: one });
  const wait = (phase: 'Importing' | 'Waiting'): Next => ({ kind: 'wait', image: made, phase, why: '', ms: 1 });
  interface Row {
    what: string;
    memory: Memory;
    next: Next;
    image?: Image | undefined;
    options?: Parameters<typeof desiredOf>[0];
    after: Partial<Memory>;
  }
  const rows: Row[] = [
    {
      what: 'a settled image is the one to use, and its owner and keys are exact',
      memory: knows([made], { propertyKeys: ['gone'], interrupted }),
      next: settled(made),
      after: { promoted: id, published: [id], owner: projectID, propertyKeys: [], interrupted: undefined },
    },
    {
      what: 'an image that is right by its hash gets a finding',
      memory: knows([made]),
      next: settled(made),
      after: { findings: [right] },
    },
    {
      what: 'a finding of the present content stays as it is',
      memory: found(knows([made]), { ...right, hash: 'sha512:00' }),
      next: settled(made),
      after: { findings: [{ ...right, hash: 'sha512:00' }] },
    },
    {
      what: 'a record without content gets no finding',
      memory: knows([made]),
      next: settled(made),
      options: {},
      after: { promoted: id, findings: [] },
    },
    {
      what: 'an import that has ended is forgotten',
      memory: knows([made], { import: running }),
      next: settled(made),
      after: { import: undefined },
    },
    {
      what: 'an import whose lock stays is remembered',
      memory: knows([locked], { import: running }),
      next: settled(locked),
      image: locked,
      after: { import: running },
    },
    {
      what: 'an import that is found under way is remembered with the time',
      memory: knows([made]),
      next: wait('Importing'),
      after: { import: { imageID: id, kind: 'found', at: now.toISOString() } },
    },
    {
      what: 'an import that is known keeps its time',
      memory: knows([made], { import: running }),
      next: wait('Importing'),
      after: { import: running },
    },
    {
      what: 'an upload that is waited for is remembered with the time',
      memory: knows([made]),
      next: wait('Waiting'),
      after: { interrupted: { imageID: id, at: now.toISOString(), isCut: false } },
    },
    {
      what: 'an upload by another client is not timed',
      memory: knows([made]),
      next: wait('Waiting'),
      options: {},
      after: { interrupted: undefined },
    },
    {
      what: 'an import that failed is forgotten, so that it is tried again',
      memory: knows([made], { import: running }),
      next: { kind: 'importFailed', image: made, what: '' },
      after: { import: undefined },
    },
    {
      what: 'the image to use stays while another content is filled, as it was verified before',
      memory: found(promotes(made), earlier),
      next: fill,
      after: { promoted: id },
    },
    {
      what: 'the image to use stays while it is deactivated',
      memory: found(promotes(made), right),
      next: { kind: 'blocked', code: 'Deactivated', message: '' },
      image: { ...made, status: 'deactivated' },
      after: { promoted: id },
    },
    {
      what: 'an image that was never verified is not the one to use once content is declared',
      memory: promotes(made),
      next: verify,
      after: { promoted: undefined, published: [id] },
    },
    {
      what: 'an image that was found wrong is not the one to use',
      memory: found(promotes(made), { ...right, verdict: 'wrong' }),
      next: fill,
      after: { promoted: undefined, published: [id] },
    },
    {
      what: 'an image with another hash than was verified is not the one to use',
      memory: found(promotes(made), { ...earlier, hash: 'sha512:00' }),
      next: fill,
      after: { promoted: undefined },
    },
    {
      what: 'an empty record is not the image to use once content is declared',
      memory: promotes(made),
      next: fill,
      image: { ...made, status: 'queued', hash: null, checksum: null },
      after: { promoted: undefined },
    },
    {
      what: 'an image that is gone is not the one to use',
      memory: promotes(imageOf({ id: imageIDOf(uid, 7) })),
      next: fill,
      after: { promoted: undefined },
    },
  ];
  for (const { what, memory, next, image: one = made, options = withContent, after } of rows) {
    test(what, () => {
      const kept = remembered(memory, next, observedOf([one], memory), desiredOf(options), now);
      const blank = Object.fromEntries(Object.keys(after).map((key) => [key, undefined]));
      const shown = Object.entries(kept).filter(([key]) => Object.hasOwn(after, key));
      assert.deepEqual({ ...blank, ...Object.fromEntries(shown) }, after);
    });
  }

  test('an image that was right by its hash stays the one to use while another content is filled', () => {
    const http = { ...content.http, digest: hash, decompress: 'None' };
    const options = { spec: { content: { http }, image: { diskFormat: 'raw' } } };
    const kept = remembered(promotes(made), settled(made), observedOf([made], promotes(made)), desiredOf(options), now);
    const later = remembered(kept, fill, observedOf([made], kept), desired, now);
    assert.equal(later.promoted, id);
  });
});
