import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SessionClosed } from '../../src/openstack/errors.ts';
import type { Transport } from '../../src/openstack/exchange.ts';
import { createSessionPool } from '../../src/openstack/pool.ts';
import { createSession } from '../../src/openstack/session.ts';
import { ManualClock } from './manual-clock.ts';

const unused = () => assert.fail('the pool makes no call');
const cloudsYaml = JSON.stringify({
  clouds: {
    demo: { auth_type: 'none', image_endpoint_override: 'https://demo.example.com' },
    other: { auth_type: 'none', image_endpoint_override: 'https://other.example.com' },
  },
});
const files = { cloudsYaml };
const idleMs = 1000;

function poolOf({ maxOpen = 10, idle = idleMs } = {}) {
  const clock = new ManualClock();
  const log: string[] = [];
  let opened = 0;
  const pool = createSessionPool<number>({
    clock,
    idleMs: idle,
    maxOpen,
    open(cloud) {
      const number = ++opened;
      log.push(`open ${number}`);
      const close = async () => void log.push(`close ${number}`);
      const transport: Transport = { request: unused, upload: unused, download: unused, close };
      return createSession({ cloud, transport, clock, random: () => 0 });
    },
    attach: () => opened,
    detach: (attached) => log.push(`detach ${attached}`),
  });
  return { pool, clock, log };
}

test('equal credentials for one cloud share a session and what is kept with it', () => {
  const { pool } = poolOf();
  using first = pool.use(files, { name: 'demo' });
  using second = pool.use({ cacert: undefined, cloudsYaml }, { name: 'demo', region: undefined });
  assert.equal(first.session, second.session);
  assert.equal(first.attached, second.attached);
  assert.equal(pool.size, 1);
});

test('another file, cloud, region, endpoint or number of retries gets a session of its own', () => {
  const { pool } = poolOf();
  pool.use(files, { name: 'demo' });
  pool.use({ cloudsYaml: `${cloudsYaml} ` }, { name: 'demo' });
  pool.use({ cloudsYaml, secureYaml: 'clouds: {}' }, { name: 'demo' });
  pool.use(files, { name: 'other' });
  pool.use(files, { name: 'demo', region: 'two' });
  const elsewhere = pool.use(files, { name: 'demo', endpoint: 'https://elsewhere.example.com' });
  const retried = pool.use(files, { name: 'demo', retries: 7 });
  assert.equal(pool.size, 7);
  assert.deepEqual(elsewhere.session.cloud.services.image.only, 'https://elsewhere.example.com');
  assert.equal(retried.session.cloud.retries, 7);
});

test('a session is closed after it has been unused for the idle time', () => {
  const { pool, clock, log } = poolOf();
  const first = pool.use(files, { name: 'demo' });
  const second = pool.use(files, { name: 'demo' });
  first[Symbol.dispose]();
  // Releasing twice counts once.
  first[Symbol.dispose]();
  clock.advance(2 * idleMs);
  second[Symbol.dispose]();
  clock.advance(idleMs - 1);
  assert.deepEqual(log, ['open 1']);
  pool.use(files, { name: 'demo' })[Symbol.dispose]();
  clock.advance(idleMs - 1);
  assert.deepEqual(log, ['open 1']);
  clock.advance(1);
  assert.deepEqual(log, ['open 1', 'detach 1', 'close 1']);
  using _again = pool.use(files, { name: 'demo' });
  assert.equal(log.at(-1), 'open 2');
});

test('a pool without idle time closes a session before its release resolves', async () => {
  const { pool, log } = poolOf({ idle: 0 });
  await pool.use(files, { name: 'demo' }).release();
  assert.deepEqual([pool.size, log.at(-1)], [0, 'close 1']);
});

test('a session is found by its key only while it is open', () => {
  const { pool, clock } = poolOf();
  const { key, session, release } = pool.use(files, { name: 'demo' });
  void release();
  clock.advance(idleMs - 1);
  // Finding it counts as use.
  pool.reuse(key)?.[Symbol.dispose]();
  clock.advance(idleMs - 1);
  assert.equal(pool.reuse(key)?.session, session);
  assert.equal(pool.reuse('none'), undefined);
});

test('above the limit the session that has been unused for the longest time is closed, and none that is in use', () => {
  const { pool, log } = poolOf({ maxOpen: 3 });
  const use = (region: string) => pool.use(files, { name: 'demo', region });
  using _busy = use('1');
  const [second, third] = [use('2'), use('3')];
  third[Symbol.dispose]();
  second[Symbol.dispose]();
  use('4');
  assert.deepEqual(log.slice(-2), ['detach 3', 'close 3']);
  use('5');
  assert.deepEqual(log.slice(-2), ['detach 2', 'close 2']);
  const sixth = use('6');
  assert.equal(pool.size, 4);
  sixth[Symbol.dispose]();
  assert.deepEqual([pool.size, log.at(-1)], [3, 'close 6']);
});

test('closing the pool closes all sessions, also those in use, and no session is opened after that', async () => {
  const { pool, clock, log } = poolOf();
  const used = pool.use(files, { name: 'demo' });
  pool.use(files, { name: 'other' })[Symbol.dispose]();
  await pool.close();
  assert.deepEqual(log.slice(2).sort(), ['close 1', 'close 2', 'detach 1', 'detach 2']);
  used[Symbol.dispose]();
  clock.advance(2 * idleMs);
  assert.equal(log.length, 6);
  assert.throws(() => pool.use(files, { name: 'demo' }), SessionClosed);
});

test('a clouds.yaml that cannot be used opens no session', () => {
  const { pool } = poolOf();
  assert.throws(() => pool.use({ cloudsYaml: '{' }, { name: 'demo' }), { code: 'SecretInvalid' });
  assert.equal(pool.size, 0);
});
