import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { listen } from './stub.ts';

test('an upload ends at the piece before which the right to write is lost', async (t) => {
  let completed = 0;
  const server = createServer((request) => {
    request.on('error', () => {});
    request.on('end', () => completed++);
    request.resume();
  });
  const url = `http://127.0.0.1:${await listen(t, server)}/file`;
  let isLost = false;
  const transport = createTransport({
    tls: { ca: undefined, verify: true, client: undefined },
    userAgent: 'test',
    clock: systemClock,
    mayWrite() {
      if (isLost) throw new Error('the lease is lost');
    },
  });
  t.after(() => transport.close());
  async function* losing() {
    yield Buffer.alloc(10);
    yield Buffer.alloc(10);
    isLost = true;
    yield Buffer.alloc(10);
  }
  const upload = {
    purpose: { service: 'image', operation: 'upload' },
    method: 'PUT',
    url,
    headers: {},
    requestId: 'req-1',
    body: losing(),
    size: undefined,
    responseDeadlineMs: 600_000,
    signal: new AbortController().signal,
  } as const;
  await assert.rejects(
    transport.upload(upload, () => {}),
    /the lease is lost/,
  );
  assert.equal(completed, 0);
});
