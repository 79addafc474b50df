import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createLeaseClient, type Lease, type LeaseClient } from '../../src/kubernetes/lease.ts';
import { type ApiTransport, createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { never } from './server.ts';

const deadlineMs = 10_000;
const claim = (identity: string) => ({ identity, durationMs: 15_000 });

describe('a Lease of the real API server', () => {
  let stack: Stack;
  let transport: ApiTransport;
  let namespace: string;
  let leases: LeaseClient;
  before(async () => {
    stack = await connectStack();
    namespace = await stack.kubernetes.createNamespace();
    const common = { clock: systemClock, random: () => 0.5 };
    transport = createApiTransport({ kubeconfig: stack.kubernetes.kubeconfig(), version: 'test', ...common });
    leases = createLeaseClient(transport, { namespace, name: 'operator' }, systemClock.now);
  });
  after(async () => {
    await transport.close();
    await stack.stop();
  });

  async function held(identity: string, over: Lease | undefined): Promise<Lease> {
    const result = await leases.hold(over, claim(identity), deadlineMs, never);
    assert.equal(result.kind, 'written');
    return result.kind === 'written' ? result.lease : assert.fail();
  }

  test('a lease is created, renewed, released and taken, and one of two concurrent writers loses', async () => {
    assert.equal(await leases.read(deadlineMs, never), undefined);
    const first = await held('a', undefined);
    assert.deepEqual([first.holder, first.durationMs, first.transitions], ['a', 15_000, 0]);
    assert.deepEqual(await leases.hold(undefined, claim('b'), deadlineMs, never), { kind: 'overtaken' });

    const renewed = await held('a', first);
    const acquired = ({ object }: Lease) => object.spec?.['acquireTime'];
    assert.ok(acquired(first));
    assert.equal(acquired(renewed), acquired(first));
    assert.notEqual(renewed.renewTime, first.renewTime);
    assert.deepEqual(await leases.hold(first, claim('b'), deadlineMs, never), { kind: 'overtaken' });

    await leases.release(renewed, deadlineMs, never);
    const released = await leases.read(deadlineMs, never);
    assert.equal(released?.holder, '');
    const taken = await held('b', released);
    assert.deepEqual([taken.holder, taken.transitions], ['b', 1]);
  });

  test('a lease keeps the fields that other clients have written', async () => {
    const { code, stderr } = await stack.kubernetes.kubectl(['label', 'lease', 'operator', 'team=images'], {
      namespace,
    });
    assert.equal(code, 0, stderr);
    await held('b', await leases.read(deadlineMs, never));
    const { stdout } = await stack.kubernetes.kubectl(
      ['get', 'lease', 'operator', '-o', 'jsonpath={.metadata.labels.team}'],
      {
        namespace,
      },
    );
    assert.equal(stdout, 'images');
  });

  test('a write of a deleted lease fails, and the lease can be created again', async () => {
    const lease = await leases.read(deadlineMs, never);
    await stack.kubernetes.kubectl(['delete', 'lease', 'operator'], { namespace });
    assert.deepEqual(await leases.hold(lease, claim('b'), deadlineMs, never), { kind: 'overtaken' });
    assert.equal((await held('b', undefined)).holder, 'b');
  });
});
