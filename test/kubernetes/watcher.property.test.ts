/** For every history of a server and every fault on the way: nothing is lost, and nothing is reported twice. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { createStore, runReflector } from '../../src/kubernetes/reflector.ts';
import type { ApiTransport } from '../../src/kubernetes/transport.ts';
import type { Key } from '../../src/lib/key.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { bookmark, endOfList, noStreams } from './script.ts';
import { type Thing, thing, thingType } from './things.ts';

type Happening =
  | { kind: 'put' | 'delete'; name: string }
  /** An object of another kind changes, which only a bookmark shows. */
  | { kind: 'elsewhere' }
  /** The server forgets all versions but the last. */
  | { kind: 'compact' };

/** The fault of one response; `after` so many lines of a stream, or immediately for a list. */
type Fault =
  | { kind: 'fails'; reason: string; httpStatus: number; after: number }
  | { kind: 'halfLine' | 'endsEarly'; after: number }
  | undefined;

const names = ['a', 'b', 'c', 'd'];
const aHappening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), name: fc.constantFrom(...names) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), name: fc.constantFrom(...names) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'elsewhere' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
);
const after = fc.nat(4);
const aFault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constant(undefined),
  fc
    .tuple(
      fc.constantFrom(
        ['Expired', 410],
        ['Unauthorized', 401],
        ['Forbidden', 403],
        ['TooManyRequests', 429],
        ['InternalError', 500],
        ['Unreachable', 0],
        ['IdleTimeout', 0],
      ),
      after,
    )
    .map(([[reason, httpStatus], lines]) => ({
      kind: 'fails' as const,
      reason: String(reason),
      httpStatus: Number(httpStatus),
      after: lines,
    })),
  fc.record({ kind: fc.constantFrom('halfLine' as const, 'endsEarly' as const), after }),
);
const aStory = fc.record({
  before: fc.array(aHappening, { maxLength: 6 }),
  meanwhile: fc.array(fc.tuple(fc.nat(20_000), aHappening), { maxLength: 25 }),
  faults: fc.array(aFault, { maxLength: 20 }),
  streams: fc.boolean(),
});

function failureOf({ reason, httpStatus }: { reason: string; httpStatus: number }): KubernetesError {
  return new KubernetesError(reason, { reason, httpStatus });
}

/** A server with a history, whose responses have the faults of `faults` in order. */
function createModel(clock: ReturnType<typeof createVirtualClock>, faults: Fault[], streams: boolean) {
  const history: { type: string; object: Thing }[] = [];
  const current = new Map<string, Thing>();
  let version = 1;
  let oldest = 1;
  const left = [...faults];
  const expired = () => failureOf({ reason: 'Expired', httpStatus: 410 });

  function happen(happening: Happening): void {
    if (happening.kind === 'compact') {
      oldest = version;
      return;
    }
    if (happening.kind === 'elsewhere') {
      version++;
      return;
    }
    const { kind, name } = happening;
    const before = current.get(name);
    if (kind === 'delete' && before === undefined) return;
    version++;
    const object = thing(name, String(version), { uid: before?.metadata.uid ?? `${name}-${version}` });
    if (kind === 'put') current.set(name, object);
    else current.delete(name);
    history.push({ type: kind === 'delete' ? 'DELETED' : before ? 'MODIFIED' : 'ADDED', object });
  }

  async function* events(query: Record<string, unknown>, signal: AbortSignal): AsyncGenerator<object> {
    let told = Number(query['resourceVersion'] ?? version);
    if (told < oldest) throw expired();
    if (query['sendInitialEvents'] === true) {
      if (!streams) throw noStreams;
      for (const object of [...current.values()]) yield { type: 'ADDED', object };
      yield endOfList(String(told));
    }
    for (const endsAt = clock.monotonic() + Number(query['timeoutSeconds']) * 1000; clock.monotonic() < endsAt; ) {
      for (const event of history.filter(({ object }) => Number(object.metadata.resourceVersion) > told)) {
        told = Number(event.object.metadata.resourceVersion);
        yield event;
      }
      if (told < version) {
        told = version;
        yield bookmark(String(told));
      }
      await clock.sleep(5000, signal);
    }
  }

  const transport: ApiTransport = {
    server: 'http://server',
    namespace: 'default',
    close: async () => {},
    now: clock.now,
    async request({ query }) {
      const fault = left.shift();
      if (fault?.kind === 'fails') throw failureOf(fault);
      const [at = String(version), from = '0'] = String(query?.['continue'] ?? '')
        .split(':')
        .filter(Boolean);
      if (Number(at) !== version) throw expired();
      const start = Number(from);
      const all = [...current.values()];
      return {
        metadata: { resourceVersion: at, continue: start + 2 < all.length ? `${at}:${start + 2}` : '' },
        items: all.slice(start, start + 2),
      };
    },
    async *stream({ query }, signal) {
      const fault = left.shift();
      let lines = 0;
      for await (const event of events(query, signal)) {
        if (fault !== undefined && lines++ >= fault.after) {
          if (fault.kind === 'fails') throw failureOf(fault);
          if (fault.kind === 'halfLine') yield JSON.stringify(event).slice(0, -5);
          return;
        }
        yield JSON.stringify(event);
      }
    },
  };
  return { transport, happen, history, current, version: () => version };
}

test('for every history and every fault, the store becomes equal to the server, with no change reported twice or out of order', async () => {
  await fc.assert(
    fc.asyncProperty(aStory, async ({ before, meanwhile, faults, streams }) => {
      const clock = createVirtualClock();
      const model = createModel(clock, faults, streams);
      for (const happening of before) model.happen(happening);
      const known = new Map<Key, number>();
      const told: string[] = [];
      let listedAt = 0;
      const store = createStore<Thing>({ log: silentLogger });
      store.subscribe((change) => {
        const { resourceVersion, uid } = (change.kind === 'deleted' ? change.before : change.after).object.metadata;
        told.push(`${change.kind} ${uid} ${resourceVersion}`);
        if (change.kind === 'deleted') return;
        assert.ok(Number(resourceVersion) > (known.get(change.key) ?? 0), `${change.key} goes back in time`);
        known.set(change.key, Number(resourceVersion));
      });
      const signal = new AbortController();
      const ended = runReflector(
        {
          client: createClient(model.transport),
          type: thingType,
          store,
          // The wall clock may jump, because it is not read.
          clock: { ...clock, now: assert.fail },
          random: () => 0.5,
          log: silentLogger,
          onProgress: (progress) => {
            if (progress.kind === 'listed') listedAt = model.version();
          },
        },
        signal.signal,
      );
      ended.catch(() => {});
      for (const [wait, happening] of meanwhile) {
        await clock.advance(wait);
        model.happen(happening);
      }
      await clock.advance(20 * 60_000);
      signal.abort(new Error('over'));
      await assert.rejects(ended, /over/);
      assert.deepEqual(
        store
          .list()
          .map(({ object }) => object.metadata.resourceVersion)
          .sort(),
        [...model.current.values()].map(({ metadata }) => metadata.resourceVersion).sort(),
      );
      assert.equal(new Set(told).size, told.length, 'a change was reported twice');
      // Between two lists a state may be skipped; after the last one, none.
      const missed = model.history
        .filter(({ type, object }) => type !== 'DELETED' && Number(object.metadata.resourceVersion) > listedAt)
        .filter(({ object }) => !told.some((each) => each.endsWith(` ${object.metadata.resourceVersion}`)));
      assert.deepEqual(missed, []);
      assert.equal(clock.pending, 0);
    }),
    { seed: 6, numRuns: 100 },
  );
});
