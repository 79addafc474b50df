import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { describe, OperatorError } from '../../src/lib/errors.ts';
import { listen } from '../source/server.ts';

test('a failure of TLS is described by its reason, in the same words in every thread', async () => {
  const server = createServer();
  const socket = connect(await listen(server), '127.0.0.1');
  const [error] = await once(socket, 'error');
  server.close();
  assert.equal(describe(error), 'TLS failed: wrong version number (perhaps the port is for plain HTTP)');
  assert.equal(describe(new Error('outside', { cause: error })), 'outside');
});

test('the message of an error is one line that fits into a condition, whatever it was made of', () => {
  const { message } = new OperatorError(`a\n\u001b[31m${'x'.repeat(100_000)}`, { code: 'InvalidSpec' });
  assert.match(message, /^a \[31mx+…$/);
  assert.equal([...message].length, 2049);
});
