import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createHeartbeat } from '../../src/controller/liveness.ts';
import { createFence, LeadershipLost } from '../../src/http/fence.ts';
import { createElector, type ElectorOptions, longestRoundMs } from '../../src/kubernetes/elector.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock, type VirtualClock } from '../clock.ts';
import { createLeaseServer, type Fate, type LeaseServer, wellMet } from './leases.ts';

const timing = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

function participant(clock: VirtualClock, server: LeaseServer, identity: string, fate?: () => Fate) {
  const fence = createFence(clock);
  const told: boolean[] = [];
  const heartbeat = createHeartbeat(clock, longestRoundMs(timing));
  const options: ElectorOptions = {
    leases: server.client(fate),
    identity,
    timing,
    fence,
    clock,
    random: () => 0.5,
    log: silentLogger,
    observe: (leads) => void told.push(leads),
    onRound: heartbeat.beat,
  };
  const elector = createElector(options);
  const stop = new AbortController();
  const halt = new AbortController();
  let over = false;
  const ended = elector
    .run(stop.signal, halt.signal)
    .then(
      () => undefined,
      (error: unknown) => error,
    )
    .finally(() => {
      over = true;
    });
  const mayWrite = () => {
    try {
      fence.mayWrite();
      return true;
    } catch (error) {
      assert.ok(error instanceof LeadershipLost);
      return false;
    }
  };
  return { elector, fence, told, mayWrite, alive: heartbeat.check, over: () => over, stop, halt, ended };
}

function setup() {
  const clock = createVirtualClock();
  return { clock, server: createLeaseServer(clock) };
}

test('the first leads, the second stands by; each may write only while it leads', async () => {
  const { clock, server } = setup();
  const a = participant(clock, server, 'a');
  await clock.advance(100);
  const b = participant(clock, server, 'b');
  await clock.advance(120_000);
  assert.deepEqual([a.told, b.told], [[true], []]);
  assert.deepEqual([a.mayWrite(), b.mayWrite()], [true, false]);
  assert.equal(server.lease?.holder, 'a');
});

test('after a clean stop, another replica leads within the retry period', async () => {
  const { clock, server } = setup();
  const a = participant(clock, server, 'a');
  await clock.advance(100);
  const b = participant(clock, server, 'b');
  await clock.advance(10_000);
  a.stop.abort(new Error('SIGTERM'));
  assert.equal(a.mayWrite(), true);
  await clock.advance(0);
  assert.equal(a.mayWrite(), false, 'the fence closes before the lease is given back');
  await clock.advance(timing.retryMs);
  assert.equal(b.mayWrite(), true);
  await a.ended;
  assert.deepEqual([a.told, b.told], [[true, false], [true]]);
});

test('the lease is not given back where work was cut off and may still be on its way', async () => {
  const { clock, server } = setup();
  const a = participant(clock, server, 'a');
  await clock.advance(5000);
  a.halt.abort();
  a.stop.abort();
  await clock.advance(5000);
  await a.ended;
  assert.equal(server.lease?.holder, 'a');
  assert.equal(a.mayWrite(), false);
});

test('a stop that cuts off a renewal still gives the lease back', async () => {
  const { clock, server } = setup();
  let slow = false;
  const a = participant(clock, server, 'a', () => (slow ? { ...wellMet, delayMs: 100 } : wellMet));
  await clock.advance(1500);
  slow = true;
  // The renewal leaves at about 2 s and is carried out 100 ms later.
  await clock.advance(550);
  a.stop.abort();
  await clock.advance(1000);
  await a.ended;
  assert.equal(server.lease?.holder, '');
});

test('a leader that is cut off closes its fence before another may lead, and ends with the reason', async () => {
  const { clock, server } = setup();
  let cut = false;
  const a = participant(clock, server, 'a', () => ({ ...wellMet, carriedOut: !cut }));
  await clock.advance(100);
  const b = participant(clock, server, 'b');
  await clock.advance(4000);
  cut = true;
  await clock.advance(timing.renewDeadlineMs);
  assert.deepEqual([a.mayWrite(), b.mayWrite()], [false, false]);
  await clock.advance(timing.leaseMs);
  assert.equal(b.mayWrite(), true);
  const reason = await a.ended;
  assert.ok(reason instanceof LeadershipLost);
  assert.match(reason.message, /could not renew its lease for 10 s/);
});

test('a process that slept through its lease may not write, before any of its timers has fired', async () => {
  const { clock, server } = setup();
  // Time that passes while a process is stopped: its clock jumps, and nothing of it runs.
  let slept = 0;
  const own: VirtualClock = { ...clock, monotonic: () => clock.monotonic() + slept };
  const a = participant(own, server, 'a');
  await clock.advance(5000);
  assert.equal(a.mayWrite(), true);
  slept = 20_000;
  assert.equal(a.mayWrite(), false);
  await clock.advance(12_000);
  assert.ok((await a.ended) instanceof LeadershipLost);
});

test('a deleted lease is created again by its leader, and a label on it has no effect', async () => {
  const { clock, server } = setup();
  const a = participant(clock, server, 'a');
  await clock.advance(100);
  const b = participant(clock, server, 'b');
  await clock.advance(5000);
  server.remove();
  await clock.advance(5000);
  server.label();
  await clock.advance(5000);
  assert.deepEqual([a.mayWrite(), b.mayWrite()], [true, false]);
  assert.equal(server.lease?.holder, 'a');
});

test('an elector that finds another name on its lease ends', async () => {
  const { clock, server } = setup();
  const a = participant(clock, server, 'a');
  await clock.advance(5000);
  server.usurp('stranger');
  await clock.advance(3000);
  assert.match(String(await a.ended), /stranger has taken its lease/);
  assert.equal(a.mayWrite(), false);
});

test('an elector that hangs is detected by its missing heartbeat, leading or following', async () => {
  const { clock, server } = setup();
  const never = new Promise<never>(() => {});
  let hangs = false;
  const hanging: LeaseServer = {
    ...server,
    client() {
      const client = server.client();
      // Worse than any server: not even the deadline and the signal end the call.
      return {
        ...client,
        read: (...args) => (hangs ? never : client.read(...args)),
        hold: (...args) => (hangs ? never : client.hold(...args)),
      };
    },
  };
  const both = [participant(clock, hanging, 'a'), participant(clock, hanging, 'b')];
  await clock.advance(60_000);
  assert.deepEqual(
    both.map(({ alive }) => alive()),
    [undefined, undefined],
  );
  hangs = true;
  await clock.advance(longestRoundMs(timing) + timing.retryMs);
  for (const { alive } of both) assert.match(alive() ?? 'nothing', /no heartbeat/);
  assert.deepEqual(
    both.map(({ mayWrite }) => mayWrite()),
    [false, false],
  );
});

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 5, arbitrary: fc.constant(wellMet) },
  {
    weight: 4,
    arbitrary: fc.record({
      carriedOut: fc.boolean(),
      answered: fc.boolean(),
      delayMs: fc.integer({ min: 1, max: 4000 }),
    }),
  },
);
const outage: fc.Arbitrary<Fate> = fc.constant({ carriedOut: false, answered: false, delayMs: 1 });

test('for every outcome of their calls, no two electors may write at the same time', async () => {
  const fates = fc.array(fc.oneof({ weight: 3, arbitrary: fate }, { weight: 1, arbitrary: outage }), {
    minLength: 5,
    maxLength: 60,
  });
  let terms = 0;
  await fc.assert(
    fc.asyncProperty(fc.tuple(fates, fates, fates), async (scripts) => {
      const { clock, server } = setup();
      const all = scripts.map((script, index) => {
        let at = 0;
        return participant(clock, server, `p${index}`, () => script[at++ % script.length] ?? wellMet);
      });
      const led = new Set<number>();
      for (let t = 0; t < 90_000; t += 250) {
        await clock.advance(250);
        const writers = all.flatMap((one, index) => (one.mayWrite() ? [index] : []));
        assert.ok(writers.length <= 1, `at ${t} ms these may write: ${writers}`);
        const silent = all.filter((one) => !one.over() && one.alive() !== undefined);
        assert.deepEqual(silent, [], `at ${t} ms an elector that moves is taken for dead`);
        for (const index of writers) led.add(index);
      }
      terms += led.size;
      for (const one of all) one.stop.abort();
      await clock.advance(20_000);
      await Promise.all(all.map((one) => one.ended));
    }),
    { numRuns: 25, seed: 20261124 },
  );
  assert.ok(terms > 25, `${terms} terms: leadership changed hands too seldom to say anything`);
});
