import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { OperatorError } from '../../src/lib/errors.ts';
import { SecretString } from '../../src/lib/secret.ts';
import type { ServiceAccount } from '../../src/openstack/credentials.ts';
import type { ServiceAccountTokens } from '../../src/openstack/service-account.ts';
import { createRemoteTokens, serveTokens } from '../../src/transfer/thread-tokens.ts';

const account: ServiceAccount = { namespace: 'team-a', name: 'images', uid: 'u', keystone: 'https://k' };
const never = () => new AbortController().signal;

/** Both sides, with a channel as between threads. */
function between(t: { after(end: () => void): void }, tokens: ServiceAccountTokens) {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const remote = createRemoteTokens((wish) => port2.postMessage(wish));
  const served = serveTokens(tokens, (response) => port1.postMessage(response));
  port1.on('message', served.receive);
  port2.on('message', remote.receive);
  return { remote, served, port1 };
}

test('a thread gets the token that the main thread requests for it, for its ServiceAccount and audience', async (t) => {
  const { remote } = between(
    t,
    async ({ namespace, name, uid, keystone }, audience) =>
      new SecretString([namespace, name, uid, keystone, audience].join(' ')),
  );
  const [a, b] = await Promise.all([
    remote.tokens(account, 'one', never()),
    remote.tokens({ ...account, name: 'other' }, 'two', never()),
  ]);
  assert.deepEqual([a.reveal(), b.reveal()], ['team-a images u https://k one', 'team-a other u https://k two']);
});

test('a thread gets the error with its code if the main thread gets no token', async (t) => {
  const { remote } = between(t, async () => {
    throw new OperatorError('the operator may not', { code: 'ServiceAccountForbidden' });
  });
  await assert.rejects(remote.tokens(account, 'a', never()), {
    code: 'ServiceAccountForbidden',
    message: 'the operator may not',
  });
});

test('a sign-in that is cancelled does not wait for its token', async (t) => {
  const { remote } = between(t, () => new Promise(() => {}));
  const stop = new AbortController();
  const result = remote.tokens(account, 'a', stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(result, /enough/);
});

test('the end of a thread cancels the requests for it, and nothing is sent to it any more', async (t) => {
  const cancelled = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { remote, served, port1 } = between(t, async (_, __, signal) => {
    asked.resolve();
    await once(signal, 'abort');
    cancelled.resolve();
    throw signal.reason;
  });
  const sent = t.mock.method(port1, 'postMessage');
  const stop = new AbortController();
  const result = remote.tokens(account, 'a', stop.signal);
  await asked.promise;
  served.end();
  await cancelled.promise;
  stop.abort(new Error('the thread has ended'));
  await assert.rejects(result);
  assert.equal(sent.mock.callCount(), 0);
});
