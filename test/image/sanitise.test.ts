import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { statusSchema } from '../../src/api/status.ts';
import { createResources } from '../../src/image/access/resources.ts';
import { dueOf } from '../../src/image/model/due.ts';
import { recall, withFinding, withPropertyKeys } from '../../src/image/model/memory.ts';
import { sanitise, shortened } from '../../src/image/model/sanitise.ts';
import { isAsSeen } from '../../src/image/status/seen.ts';
import { recorded } from '../../src/image/status/status.ts';
import type { KubernetesClient } from '../../src/kubernetes/client.ts';
import { errorFromResponse } from '../../src/kubernetes/errors.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { fullStatus } from '../api/full-status.ts';
import { never } from '../kubernetes/server.ts';
import { imageOf, resourceOf } from './resource.ts';
import { moment, promotes } from './states.ts';
import { anyReport, anyStatus, statusOf } from './statuses.ts';

const unused = () => {
  throw new Error('not used here');
};
const unusedClient: KubernetesClient = {
  get: unused,
  listPage: unused,
  watch: unused,
  create: unused,
  applyStatus: unused,
  jsonPatch: unused,
  delete: unused,
  deleteWithOwned: unused,
};
const { image: fullImage } = fullStatus;
const withProperties = (properties: Record<string, unknown>) =>
  sanitise({ image: { ...fullImage, propertiesNotShown: undefined, properties } }).image;

describe('the sanitiser of the status', () => {
  test('a status with every field stays as it is', () => {
    assert.deepEqual(sanitise(fullStatus), fullStatus);
  });

  test('any value becomes a status that parses, and that stays as it is from there on', () => {
    fc.assert(
      fc.property(fc.oneof(anyStatus, fc.anything()), (value) => {
        const status = sanitise(value);
        assert.deepEqual(statusSchema.parse(status), status);
        assert.deepEqual(sanitise(status), status);
        assert.deepEqual(sanitise(JSON.parse(JSON.stringify(status))), status);
      }),
    );
  });

  test('any report becomes a status that the same report leaves unchanged', () => {
    fc.assert(
      fc.property(anyReport, (report) => {
        const status = statusOf(report);
        assert.deepEqual(sanitise(status), status);
        const { observed, memory } = report.report;
        const { image, ownership } = observed?.revisions.find(({ image: { id } }) => id === memory.promoted) ?? {};
        if (image !== undefined && ownership?.kind === 'created') assert(isAsSeen(image, status.image));
      }),
    );
  });

  test('a memory that is recorded alone makes an admissible status, from which the same memory is read back', () => {
    const why = `${'😀'.repeat(400)}\u0085 it is damaged`;
    const memory = withFinding(promotes(imageOf()), {
      imageID: imageOf().id,
      fingerprint: 'v1',
      verdict: 'wrong',
      why,
    });
    const status = recorded({ memory }, sanitise(fullStatus), moment);
    assert.deepEqual(sanitise(status), status);
    assert.deepEqual(recall(resourceOf({ status })), { kind: 'memory', memory, isLost: false });
  });

  test('a memory is read back after any number of edits that were never applied', () => {
    let memory = promotes(imageOf());
    for (let edit = 0; edit < 5; edit++)
      memory = withPropertyKeys(
        memory,
        Array.from({ length: 122 }, (_, index) => `p${edit}-${index}`),
      );
    const status = recorded({ memory }, sanitise(fullStatus), moment);
    assert.deepEqual(recall(resourceOf({ status })), { kind: 'memory', memory, isLost: false });
    assert.equal(memory.propertyKeys.filter((key) => key.startsWith('p4-')).length, 122);
  });

  test('texts are cut by code points and keep no half of a character', () => {
    const { imageID } = sanitise({ imageID: '😀'.repeat(2000) });
    assert.equal(imageID, `${'😀'.repeat(1023)}…`);
    assert.equal(sanitise({ imageID: `a\ud83d\u0007\u0085\uFFFEb\n` }).imageID, 'a\uFFFD\uFFFD\uFFFD\uFFFDb\n');
  });

  test('a number out of range moves to its nearest bound, and NaN is left out', () => {
    const lastError = { ...fullStatus.lastError, httpStatus: Number.NaN, attempts: -0 };
    assert.partialDeepStrictEqual(sanitise({ lastError, image: { ...fullImage, virtualSize: 2 ** 60, size: 1.5 } }), {
      lastError: { attempts: 0 },
      image: { virtualSize: Number.MAX_SAFE_INTEGER, size: 1 },
    });
    assert.equal(sanitise({ lastError }).lastError?.httpStatus, undefined);
  });

  test('times that the API server cannot read move to the nearest that it can, or are left out', () => {
    const times: [string, string | undefined][] = [
      ['+011275-06-01T00:00:00Z', '9999-12-31T23:59:59Z'],
      ['-000001-06-01T00:00:00Z', '0001-01-01T00:00:00Z'],
      ['2026-02-30T00:00:00Z', undefined],
      ['2026-02-28T23:59:60Z', undefined],
      ['tomorrow', undefined],
    ];
    for (const [given, shown] of times)
      assert.equal(sanitise({ nextAttemptTime: given }).nextAttemptTime, shown, given);
  });

  test('the sanitiser keeps the first of two conditions of one type', () => {
    const [ready] = fullStatus.conditions;
    assert.deepEqual(sanitise({ conditions: [ready, { ...ready, reason: 'Other' }] }).conditions, [ready]);
  });

  test('properties that do not fit are counted, and the same ones are left out in any order', () => {
    const names = Array.from({ length: 300 }, (_, index) => `p${index}`);
    const large = (order: readonly string[]) => Object.fromEntries(order.map((name) => [name, '<'.repeat(1000)]));
    const image = withProperties(large(names));
    const shown = Object.keys(image?.properties ?? {});
    assert(shown.length > 10 && shown.length < 30, String(shown.length));
    assert.equal(image?.propertiesNotShown, 300 - shown.length);
    assert.deepEqual(withProperties(large(names.toReversed())), image);
    assert.deepEqual(sanitise({ image }).image, image);
  });

  test('a property that no status can hold is counted and does not make the status differ from itself', () => {
    const hostile: Record<string, unknown> = JSON.parse('{"__proto__": "x", "zero": -0, "list": [-0, {"deep": -0}]}');
    let deep: unknown = 'end';
    for (let depth = 0; depth < 100_000; depth++) deep = [deep];
    const image = withProperties({ ...hostile, infinite: [Number.POSITIVE_INFINITY], deep });
    assert.equal(image?.propertiesNotShown, 3);
    assert.deepEqual(image.properties, { zero: 0, list: [0, { deep: 0 }] });
    assert.deepEqual(JSON.parse(JSON.stringify(image)), image);
  });

  test('a reconcile-at annotation of any length is handled once', () => {
    const metadata = { annotations: { [reconcileAtAnnotation]: `${'x'.repeat(3000)}\ud83d` } };
    const [ready] = fullStatus.conditions;
    const nextAttemptTime = '2026-01-02T00:01:00Z';
    const handled = sanitise({ lastHandledReconcileAt: metadata.annotations[reconcileAtAnnotation] });
    const status = { ...handled, observedGeneration: 1, conditions: [ready], nextAttemptTime };
    assert.equal(dueOf(resourceOf({ status, metadata }), undefined, new Date('2026-01-02T00:00:00Z')).kind, 'notDue');
  });
});

describe('the status in place of one that the API server rejects', () => {
  const statuses = shortened(sanitise(fullStatus), 'it is too large');

  test('first only what is shown goes, so that the memory of the operator stays', () => {
    const { content, operation, revisions, imageID, cloud, secretVersion } = sanitise(fullStatus);
    assert.partialDeepStrictEqual(statuses[0], { content, operation, revisions, imageID, cloud, secretVersion });
    assert.equal(statuses[0]?.image, undefined);
  });

  test('at last only the generation, the next attempt and the reason stay', () => {
    assert.deepEqual(Object.keys(statuses[1] ?? {}).sort(), ['conditions', 'nextAttemptTime', 'observedGeneration']);
    assert.partialDeepStrictEqual(statuses[1]?.conditions?.[0], {
      type: 'Ready',
      reason: 'StatusShortened',
      message: 'the status cannot be shown in full: it is too large',
    });
  });
});

describe('the writer of the status', () => {
  const rejected = (httpStatus: number, message: string) =>
    errorFromResponse({ call: 'PATCH status', httpStatus, body: { kind: 'Status', message } });

  /** How many statuses were tried, with an API server that always gives this response. */
  async function tries(error: Error): Promise<number> {
    let tried = 0;
    const applyStatus = () => {
      tried++;
      return Promise.reject(error);
    };
    const resources = createResources({
      client: { ...unusedClient, applyStatus },
      images: createStore({ log: silentLogger }),
      secrets: { lastVersion: () => undefined, currentVersion: () => undefined },
      events: { record() {}, async run() {} },
      log: silentLogger,
    });
    assert.equal(await resources.writeStatus(resourceOf(), sanitise(fullStatus), never), 'rejected');
    return tried;
  }

  test('a status that is rejected in each form does not fail the reconcile, so that its transfer is forgotten', async () => {
    for (const rejection of [
      rejected(422, 'Invalid value'),
      rejected(400, 'error decoding patch'),
      rejected(413, 'the body is too large'),
      rejected(500, 'etcdserver: request is too large'),
      rejected(500, 'rpc error: trying to send message larger than max (2097153 vs. 2097152)'),
    ])
      assert.equal(await tries(rejection), 3, rejection.message);
  });

  test('a status that the API server cannot store now is not shortened', async () => {
    for (const failure of [rejected(500, 'etcdserver: no leader'), rejected(503, 'later'), rejected(403, 'RBAC')])
      await assert.rejects(tries(failure), failure);
  });
});

test('a time of the next attempt that lies years ahead is not waited for', () => {
  const status = { observedGeneration: 1, nextAttemptTime: '2058-01-01T00:00:00Z' };
  assert.deepEqual(dueOf(resourceOf({ status }), undefined, new Date('2026-01-02T00:00:00Z')), { kind: 'now' });
});
