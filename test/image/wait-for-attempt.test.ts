/** A failure waits for its next attempt, wherever the reconcile has failed: the status records for which Secrets that holds. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer } from '../../src/api/group.ts';
import { dueOf } from '../../src/image/model/due.ts';
import { memoryVersion } from '../../src/image/model/memory.ts';
import { moveAnnotation } from '../../src/image/reconcile/guard.ts';
import type { ReconcileContext } from '../../src/image/reconcile/pass.ts';
import { reconcile } from '../../src/image/reconcile/reconcile.ts';
import { DeadlineExceeded } from '../../src/lib/abort.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { type ContextOptions, contextOf, key } from './contexts.ts';
import { followingOf, http, list, one, resolved } from './pinning.ts';
import { type ResourceOptions, resourceOf, uid } from './resource.ts';
import { now, withContent } from './states.ts';

const deletionTimestamp = '2026-01-01T00:00:00Z';
const finalizers = [finalizer];
const operation = { version: memoryVersion + 1, uid };
const away = new OperatorError('no connection', { code: 'IdentityUnavailable' });
const late = new DeadlineExceeded('the reconcile of demo/ubuntu', 120_000);

interface Row {
  what: string;
  resource: ResourceOptions;
  options?: ContextOptions;
  following?: ReconcileContext['following'];
  /** The deadline passes while the Secret is read. */
  isLate?: boolean;
  code: string;
}

const rows: readonly Row[] = [
  { what: 'a deadline', resource: withContent, isLate: true, code: 'TimedOut' },
  {
    what: 'a deadline of a deletion',
    resource: { ...withContent, metadata: { deletionTimestamp, finalizers } },
    isLate: true,
    code: 'TimedOut',
  },
  {
    what: 'a spec that cannot be obeyed',
    resource: { spec: { image: { properties: { os_glance_x: 'x' } } } },
    code: 'InvalidSpec',
  },
  {
    what: 'a cloud that cannot be searched for a lost digest',
    resource: { spec: { content: { http }, image: { diskFormat: 'qcow2' } }, metadata: { finalizers } },
    options: { secret: { version: '7', open: () => Promise.reject(away) } },
    following: followingOf(resolved(one)).following,
    code: 'IdentityUnavailable',
  },
  {
    what: 'a cloud that does not respond',
    resource: withContent,
    options: { secret: { version: '7', open: () => Promise.reject(away) } },
    code: 'IdentityUnavailable',
  },
  {
    what: 'a list that cannot be read',
    resource: { spec: { content: { http }, image: { diskFormat: 'qcow2' } } },
    following: followingOf({ kind: 'failed', error: new OperatorError(list, { code: 'DigestNotFound' }) }).following,
    code: 'DigestNotFound',
  },
  {
    what: 'a move by clusterctl',
    resource: { metadata: { annotations: { [moveAnnotation]: '' } } },
    code: 'BeingMoved',
  },
  { what: 'a memory of a later version', resource: { status: { operation } }, code: 'NewerOperator' },
  {
    what: 'a deletion with a memory of a later version',
    resource: { status: { operation }, metadata: { deletionTimestamp, finalizers } },
    code: 'NewerOperator',
  },
];

/** Secrets are known as last read, and `start` was read before. */
function setup(row: Row, resource: ResourceOptions, start: string | undefined) {
  const deadline = new AbortController();
  let lastRead = start;
  const { context, reached } = contextOf({ ...row.options, resource });
  const inTime: ReconcileContext = {
    ...context,
    following: row.following ?? context.following,
    resources: { ...context.resources, secretVersions: (_, version) => version ?? lastRead },
    clouds: {
      ...context.clouds,
      async read(...asked) {
        const read = await context.clouds.read(...asked);
        lastRead = read.version;
        if (row.isLate === true) deadline.abort(late);
        deadline.signal.throwIfAborted();
        return read;
      },
    },
    signal: deadline.signal,
  };
  return { context: inTime, reached, lastRead: () => lastRead };
}

describe('a failure waits for its next attempt', () => {
  for (const row of rows) {
    for (const [before, shown, start] of [
      ['at first', undefined, '7'],
      ['in a reconcile that reads the Secret first', undefined, undefined],
      ['after a change of the Secret', '6', '7'],
    ] as const) {
      test(`after ${row.what}, ${before}, a resource is not tried again before its time`, async () => {
        const status = { ...row.resource.status, ...(shown === undefined ? {} : { secretVersion: shown }) };
        const { context, reached, lastRead } = setup(row, { ...row.resource, status }, start);
        await reconcile(key, context);
        const [written = assert.fail('no status was written')] = reached.statuses;
        assert.equal(written.lastError?.reason, row.code);
        const resource = resourceOf({ ...row.resource, status: { ...written } });
        assert.equal(dueOf(resource, lastRead(), now).kind, 'notDue');
        assert.equal(dueOf(resource, '8', now).kind, 'now', 'another Secret');
      });
    }
  }
});
