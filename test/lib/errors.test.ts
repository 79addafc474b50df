import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { connect } from 'node:tls';
import * as z from 'zod';
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

test('a value that a schema rejects is described by one sentence with the first field and the number of other problems', () => {
  const schema = z.object({ spec: z.object({ size: z.number(), name: z.string() }), kind: z.literal('A') });
  const problem = (value: unknown) => describe(schema.safeParse(value).error);
  assert.equal(problem({ spec: { size: 1, name: 'a' } }), 'kind: Invalid input: expected "A"');
  assert.equal(
    problem({ spec: { name: 'a' } }),
    'spec.size: Invalid input: expected number, received undefined (and 1 more problem)',
  );
  assert.match(problem({ spec: {} }), /^spec\.size: [^\n]* \(and 2 more problems\)$/);
  assert.equal(problem('x'), 'Invalid input: expected object, received string');
});
