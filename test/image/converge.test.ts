/** The step from what is declared to what Glance holds: how each way through it ends, which calls it costs, and what starts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import { ImageNotAuthorized } from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { contentProperty, imageIDOf, markOf, ownerProperty } from '../../src/image/model/identity.ts';
import { asOperation, type Memory } from '../../src/image/model/memory.ts';
import { fillPlan } from '../../src/image/model/transfer.ts';
import type { Pinning } from '../../src/image/publishers/resolution.ts';
import { converge } from '../../src/image/reconcile/converge.ts';
import type { Reached } from '../../src/image/reconcile/pass.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import type { TransferState } from '../../src/transfer/scheduler.ts';
import { type ContextOptions, passOf } from './contexts.ts';
import { list } from './pinning.ts';
import { identity, imageOf, resourceOf, uid } from './resource.ts';
import { before, desiredOf, found, promotes, withContent } from './states.ts';
import { type Faults, fail, stubGlance } from './stub-glance.ts';

const fingerprint = desiredOf(withContent).fingerprint ?? assert.fail();
const made = imageOf({ properties: { ...markOf(identity), [contentProperty]: fingerprint } });
const hash = `sha512:${'e'.repeat(128)}`;
const verified = found(promotes(made), { imageID: made.id, fingerprint, verdict: 'right', hash, size: 1024 });
const squatted = imageOf({ properties: { [ownerProperty]: 'demo/debian/0' } });
const withTags = { ...withContent.spec, image: { diskFormat: 'raw', tags: ['x'] } };
const observing = { managementPolicy: 'Observe', import: { id: made.id } };

const terms = { address: 'https://glance.example.com', limits: defaultLimits };
const resource = resourceOf(withContent);
const plan = fillPlan(resource, made.id, contentOf(resource) ?? assert.fail(), terms);
const running: TransferState = { kind: 'queued', plan, position: 1, queuedAt: before(0) };
const cutOff: TransferState = {
  kind: 'failed',
  plan,
  error: new OperatorError('the source is away', { code: 'SourceUnavailable' }),
};
const refused = new OperatorError('503', { code: 'GlanceUnavailable' });
const open: Pinning = { kind: 'open', url: list, resource, declared: resource };

interface Row {
  what: string;
  held?: readonly Image[];
  memory?: Memory;
  spec?: Record<string, unknown>;
  /** Of the Secret, as the status has it. */
  shown?: string;
  pinning?: Pinning;
  faults?: Faults;
  options?: ContextOptions;
  calls: readonly string[];
  /** How it ends: the kind, with the code of a failure or the time of the next reconcile. */
  ends: string;
  /** Methods of the transfers that start. */
  started?: readonly string[];
  changes?: readonly string[];
  /** The image to use, and the version of the Secret, in the report. */
  promoted?: string;
  version?: string;
}

const rows: readonly Row[] = [
  {
    what: 'a new resource gets an image, and its transfer starts',
    calls: ['create 0'],
    ends: 'transferring',
    started: ['Upload'],
    changes: ['created'],
  },
  {
    what: 'a resource that is gone gets no image',
    options: { guarded: false },
    calls: [],
    ends: 'awaitChange',
  },
  {
    what: 'an image as declared is compared, and stays',
    held: [made],
    memory: verified,
    calls: ['get 0'],
    ends: 'converged',
    promoted: made.id,
  },
  {
    what: 'an image that differs is changed',
    held: [made],
    memory: verified,
    spec: withTags,
    calls: ['get 0', 'patch 0 /tags'],
    ends: 'converged',
    promoted: made.id,
    changes: ['updated'],
  },
  {
    what: 'a change that Glance rejects is a failure, and the image to use stays',
    held: [made],
    memory: verified,
    spec: withTags,
    faults: { patch: fail(new ImageNotAuthorized('no', { httpStatus: 403 })) },
    calls: ['get 0', 'patch 0 /tags'],
    ends: 'failed Forbidden',
    promoted: made.id,
  },
  {
    what: 'data of which nothing is known is read back',
    held: [made],
    memory: promotes(made),
    calls: ['get 0'],
    ends: 'transferring',
    started: ['Verify'],
  },
  {
    what: 'an image of another owner is left as it is',
    held: [squatted],
    memory: promotes(squatted),
    calls: ['get 0'],
    ends: 'failed TakenOver',
  },
  {
    what: 'another image takes the place of one that is gone',
    memory: verified,
    calls: ['get 0', 'list', 'list hidden', 'create 1'],
    ends: 'transferring',
    started: ['Upload'],
    changes: ['vanished', 'created'],
  },
  {
    what: 'a Glance that does not respond is a failure, and nothing is planned',
    held: [made],
    memory: verified,
    faults: { get: fail(refused) },
    calls: ['get 0'],
    ends: 'failed GlanceUnavailable',
    promoted: made.id,
  },
  {
    what: 'a Secret that is missing is a failure before the first call',
    options: { secret: new OperatorError('there is no Secret', { code: 'SecretNotFound' }) },
    calls: [],
    ends: 'failed SecretNotFound',
    version: '-',
  },
  {
    what: 'a cloud that was not known begins again in its own flow',
    options: { secret: { version: '7', open: async () => undefined } },
    calls: [],
    ends: 'requeue',
  },
  {
    what: 'a transfer that is under way costs no call',
    held: [made],
    options: { transfer: running },
    calls: [],
    ends: 'transferring',
  },
  {
    what: 'a transfer that has failed is the failure, with what no status has shown yet',
    held: [made],
    memory: promotes(made),
    options: { transfer: cutOff },
    calls: ['get 0'],
    ends: 'failed SourceUnavailable',
    promoted: made.id,
  },
  {
    what: 'a transfer that has failed is a failure of the Secrets with which it started',
    held: [made],
    memory: promotes(made),
    shown: '6',
    options: { transfer: cutOff, secretVersions: '7' },
    calls: [],
    ends: 'failed SourceUnavailable',
    promoted: made.id,
    version: '6',
  },
  { what: 'a digest that is not known is waited for without a call', pinning: open, calls: [], ends: 'resolving' },
  {
    what: 'a list that cannot be read is a failure without a call',
    pinning: { ...open, error: new OperatorError('it is empty', { code: 'DigestNotFound' }) },
    calls: [],
    ends: 'failed DigestNotFound',
  },
  {
    what: 'an image that is observed is looked at, and nothing is written',
    held: [squatted],
    spec: observing,
    calls: ['get 0'],
    ends: 'converged',
    promoted: made.id,
  },
];

describe('the way to what is declared', () => {
  for (const row of rows) {
    const { what, held, memory, spec = withContent.spec, shown, pinning, faults, options, calls, started = [] } = row;
    test(`on the way to what is declared, ${what}`, async () => {
      const glance = stubGlance(held, faults);
      const status = {
        ...(memory === undefined ? {} : { operation: asOperation(memory) }),
        ...(shown === undefined ? {} : { secretVersion: shown }),
      };
      const metadata = memory === undefined ? {} : { finalizers: [finalizer] };
      const { pass, context, reached } = passOf({ glance, resource: { spec, status, metadata }, ...options });
      const ended = await converge(pinning === undefined ? pass : { ...pass, pinning }, context);
      assert.deepEqual([outline(ended), glance.calls], [row.ends, calls]);
      assert.deepEqual(
        reached.started.map(({ method }) => method),
        started,
      );
      if (ended.kind !== 'report') return;
      const { report } = ended;
      assert.deepEqual(
        report.changes.map(({ kind }) => kind),
        row.changes ?? [],
      );
      const { memory: after, secret } = report;
      assert.equal(after.promoted, row.promoted);
      if (row.version !== undefined) assert.equal(secret?.version, row.version);
    });
  }

  test('a plan that goes on behind the images of an earlier process begins with a search for them', async () => {
    const second = imageOf({ id: imageIDOf(uid, 1), hidden: true });
    const glance = stubGlance([second]);
    const { pass, context } = passOf({ glance, resource: { ...withContent, metadata: { finalizers: [finalizer] } } });
    const ended = await converge(pass, context);
    assert.deepEqual([outline(ended), glance.calls.slice(0, 2)], ['transferring', ['list', 'list hidden']]);
    assert.ok(ended.kind === 'report' && ended.report.memory.images.includes(second.id));
  });
});

function outline(reached: Reached): string {
  if (reached.kind === 'outcome') return reached.outcome.kind;
  if (reached.kind === 'released') return 'released';
  const { end } = reached.report;
  return end.kind === 'failed' ? `failed ${end.error.code}` : end.kind;
}
