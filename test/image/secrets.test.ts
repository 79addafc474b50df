import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createResources, missingSecret } from '../../src/image/access/resources.ts';
import { createSecrets, secretPollMs, secretsAwaited } from '../../src/image/access/secrets.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { neverAborted } from '../../src/lib/abort.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { resourceOf } from './resource.ts';

const key = 'demo/openstack';
const log = createLogger('silent');

/** The response where a role of the operator does not cover the namespace. */
const forbidden = () =>
  new KubernetesError('secrets "openstack" is forbidden', { reason: 'Forbidden', httpStatus: 403 });

/** One Secret, which `write` changes. */
function setUp({ watched = false, awaited = [] as string[] } = {}) {
  const clock = createVirtualClock();
  const reads: string[] = [];
  const changes: string[] = [];
  let content: { version: string; resourceVersion: string } | undefined;
  let broken = false;
  const rejected = new Set<string>();
  const secrets = createSecrets({
    async read(namespace, name) {
      reads.push(`${namespace}/${name}`);
      if (broken) throw new Error('the API server does not respond');
      if (rejected.has(namespace)) throw forbidden();
      return content && { ...content, data: new Map() };
    },
    watched,
    awaited: () => awaited,
    isUsed: (name) => name === key,
    onChange: (name) => changes.push(name),
    clock,
    log,
  });
  return {
    clock,
    reads,
    changes,
    secrets,
    read: () => secrets.credentials.secret('demo', 'openstack', neverAborted()),
    write: (version: string, resourceVersion = version) => {
      content = { version, resourceVersion };
    },
    remove: () => {
      content = undefined;
    },
    reject: (namespace: string) => rejected.add(namespace),
    setBroken: (value: boolean) => {
      broken = value;
    },
    async running(work: () => Promise<void>) {
      const stop = new AbortController();
      const ended = secrets.run(stop.signal).catch(() => {});
      await clock.advance(0);
      await work();
      stop.abort();
      await ended;
    },
  };
}

describe('the versions of Secrets', () => {
  test('100 simultaneous requests for a Secret cost two readings, and none gets one that began before it', async () => {
    const gates: (() => void)[] = [];
    let content = 'a';
    const secrets = createSecrets({
      async read() {
        const seen = { version: content, resourceVersion: content, data: new Map() };
        await new Promise<void>((resolve) => gates.push(resolve));
        return seen;
      },
      watched: false,
      awaited: () => [],
      isUsed: () => true,
      onChange: () => {},
      clock: createVirtualClock(),
      log,
    });
    const ask = (signal = neverAborted()) => secrets.credentials.secret('demo', 'openstack', signal);
    const first = ask();
    content = 'b';
    const [one, ...others] = Array.from({ length: 99 }, () => ask());
    const aborted = ask(AbortSignal.abort(new Error('given up')));
    await assert.rejects(aborted, /given up/);
    assert.equal(gates.length, 1);
    gates[0]?.();
    assert.equal((await first)?.version, 'a');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(gates.length, 2);
    gates[1]?.();
    for (const later of [one, ...others]) assert.equal((await later)?.version, 'b');
    const again = ask();
    gates[2]?.();
    assert.equal((await again)?.version, 'b');
    assert.equal(gates.length, 3);
  });

  test('a reading that fails fails for those who share it, and the next request reads again', async () => {
    const { read, write, setBroken, reads } = setUp();
    setBroken(true);
    const results = await Promise.allSettled([read(), read(), read()]);
    assert.deepEqual(
      results.map(({ status }) => status),
      Array(3).fill('rejected'),
    );
    setBroken(false);
    write('a');
    assert.equal((await read())?.version, 'a');
    assert.equal(reads.length, 3);
  });

  test('a reading that finds other content wakes the users of a Secret, and one that finds the same does not', async () => {
    const { read, write, changes } = setUp();
    write('a');
    await read();
    await read();
    assert.deepEqual(changes, [key]);
    write('b');
    await read();
    assert.deepEqual(changes, [key, key]);
  });

  test('a Secret that disappears wakes no resource, and one that returns does', async () => {
    const { read, write, remove, changes, secrets } = setUp();
    write('a');
    await read();
    remove();
    await read();
    assert.equal(secrets.lastVersion(key), undefined);
    assert.equal(changes.length, 1);
    write('a');
    await read();
    assert.equal(changes.length, 2);
  });

  test('without a watch, the Secret of a resource that waits for an attempt is read again after 30 seconds', async () => {
    const { read, write, changes, reads, running, clock } = setUp({ awaited: [key] });
    write('a');
    await read();
    await running(async () => {
      assert.equal(reads.length, 1, 'a Secret that was just read is not read again');
      write('b');
      await clock.advance(secretPollMs);
      assert.equal(reads.length, 2);
      assert.deepEqual(changes, [key, key]);
    });
  });

  test('the Secret of a resource that waits for nothing is never read in the background', async () => {
    const { read, write, reads, running, clock } = setUp();
    write('a');
    await read();
    await running(() => clock.advance(100 * secretPollMs));
    assert.equal(reads.length, 1);
  });

  test('a Secret that cannot be read is read again after 30 seconds', async () => {
    const { write, changes, reads, running, clock, setBroken } = setUp({ awaited: [key] });
    write('a');
    setBroken(true);
    await running(async () => {
      assert.equal(reads.length, 1);
      setBroken(false);
      await clock.advance(secretPollMs);
      assert.deepEqual(changes, [key]);
    });
  });

  test('a Secret whose reading the API server rejects delays the readings of no other Secret', async () => {
    const { write, changes, reads, running, clock, reject } = setUp({ awaited: ['closed/openstack', key] });
    write('a');
    reject('closed');
    await running(async () => {
      assert.deepEqual([reads, changes], [['closed/openstack', key], [key]]);
      write('b');
      await clock.advance(secretPollMs);
      assert.deepEqual(changes, [key, key]);
      assert.equal(reads.filter((name) => name === 'closed/openstack').length, 2);
    });
  });

  test('a change that the watch reports has the Secret read at once, and only other content wakes its users', async () => {
    const { read, write, changes, reads, running, clock, secrets } = setUp({ watched: true });
    write('a', '1');
    await read();
    await running(async () => {
      write('a', '2');
      secrets.reported(key, '2');
      assert.equal(secrets.currentVersion(key, 0), undefined);
      await clock.advance(0);
      assert.equal(reads.length, 2);
      assert.deepEqual(changes, [key], 'its metadata was touched');
      write('b', '3');
      secrets.reported(key, '3');
      await clock.advance(0);
      assert.deepEqual(changes, [key, key]);
      assert.equal(secrets.currentVersion(key, 0), 'b');
      secrets.reported(key, '3');
      await clock.advance(0);
      assert.equal(reads.length, 3, 'the watch reports what was read already');
    });
  });

  test('a Secret that no resource names is not read when the watch reports it', async () => {
    const { reads, running, clock, secrets } = setUp({ watched: true });
    await running(async () => {
      secrets.reported('demo/other', '1');
      await clock.advance(secretPollMs);
      assert.deepEqual(reads, []);
    });
  });

  test('with a watch, a reading counts until a change is reported; without one, for a limited time', async () => {
    for (const watched of [true, false]) {
      const { read, write, secrets, clock } = setUp({ watched });
      write('a', '1');
      await read();
      assert.equal(secrets.currentVersion(key, 0), watched ? 'a' : undefined);
      assert.equal(secrets.currentVersion(key, 1000), 'a');
      await clock.advance(1000);
      assert.equal(secrets.currentVersion(key, 1000), watched ? 'a' : undefined);
      secrets.reported(key, undefined);
      assert.equal(secrets.currentVersion(key, 1000), undefined, 'it was deleted');
    }
  });

  test('Secrets are awaited by resources whose next attempt is not soon, and by no other', () => {
    const now = new Date('2026-01-02T00:00:00Z');
    const at = (nextAttemptTime: string | undefined, spec = {}) =>
      resourceOf({
        status: { nextAttemptTime },
        spec: { cloud: { secretRef: { name: 'openstack' }, name: 'a' }, ...spec },
      });
    const awaited = (...resources: ReturnType<typeof at>[]) => [...secretsAwaited(resources, now)];
    assert.deepEqual(awaited(at('2026-01-02T01:00:00Z')), [key]);
    assert.deepEqual(
      awaited(at('2026-01-02T00:00:10Z'), at(undefined), at('2026-01-02T01:00:00Z', { suspend: true })),
      [],
    );
  });
});

describe('the versions of Secrets in a status', () => {
  const spec = {
    image: { diskFormat: 'raw' },
    content: {
      http: {
        url: 'https://example.com/a.raw',
        digest: `sha256:${'a'.repeat(64)}`,
        headersSecretRef: { name: 'headers' },
      },
    },
  };
  const versions = (known: Record<string, string>, secretVersion: string | undefined, cloud?: string) => {
    const unused = () => assert.fail('not used');
    const resources = createResources({
      client: new Proxy(Object.create(null), { get: unused }),
      images: new Proxy(Object.create(null), { get: unused }),
      secrets: { lastVersion: (name) => known[name], currentVersion: unused },
      events: { record: unused, run: unused },
      log,
    });
    return resources.secretVersions(resourceOf({ spec, status: { secretVersion } }), cloud);
  };

  test('a Secret that was not read since the start has the version that the status records', () => {
    assert.equal(versions({}, 'a,b'), 'a,b');
    assert.equal(versions({ [key]: 'c' }, 'a,b'), 'c,b');
    assert.equal(versions({ 'demo/headers': 'c' }, 'a,b'), 'a,c');
    assert.equal(versions({}, 'a,b', 'd'), 'd,b');
  });

  test('a missing Secret is recorded as missing, so that its return counts as a change', () => {
    assert.equal(versions({ 'demo/headers': 'b' }, 'a,b', missingSecret), '-,b');
    assert.equal(versions({ 'demo/headers': 'b' }, '-,b'), '-,b');
    assert.equal(versions({ [key]: 'a', 'demo/headers': 'b' }, '-,b'), 'a,b');
    assert.equal(versions({}, undefined), undefined);
  });

  test('versions of other Secrets than the resource names now do not count', () => {
    assert.equal(versions({ [key]: 'a' }, 'x'), 'a,-');
  });
});
