/** The bounds that every response that is read whole passes, whatever its status. A whole cloud is flooded in flood.test.ts. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { MalformedResponse } from '../../src/openstack/errors.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { serve } from './stub.ts';

/** What is read of a response with this text, where 100 values are permitted. */
async function read(t: TestContext, status: number, text: string) {
  const url = await serve(t, (_, response) => void response.writeHead(status).end(text));
  const tls = { ca: undefined, verify: true, client: undefined };
  const transport = createTransport({ tls, userAgent: 'test', clock: systemClock });
  t.after(() => transport.close());
  const response = transport.request({
    purpose: { service: 'image', operation: 'read' },
    method: 'GET',
    url,
    headers: {},
    requestId: 'req-of-the-call',
    deadlineMs: 10_000,
    limit: { bytes: 100_000, values: 100 },
    signal: new AbortController().signal,
  });
  return { host: new URL(url).host, response };
}

const floods: [name: string, text: string, problem: string][] = [
  ['values', `[${'0,'.repeat(200)}0]`, 'holds more than 100 values, which is the limit'],
  ['empty objects', `{"x":[${'{},'.repeat(200)}{}]}`, 'holds more than 100 values, which is the limit'],
  ['members', `{${'"a":0,'.repeat(200)}"b":0}`, 'holds more than 100 values, which is the limit'],
  ['levels', `${'['.repeat(40)}${']'.repeat(40)}`, 'is nested more than 32 levels deep, which is the limit'],
  ['levels, behind blanks', ` \r\n\t${'['.repeat(40)}`, 'is nested more than 32 levels deep, which is the limit'],
];

for (const [name, text, problem] of floods) {
  test(`a response with a flood of ${name} is an error that names the host and the limit`, async (t) => {
    const { host, response } = await read(t, 200, text);
    await assert.rejects(response, (error) => {
      assert.ok(error instanceof MalformedResponse);
      assert.equal(error.message, `the response of ${host} ${problem}`);
      return true;
    });
  });

  test(`an error response with a flood of ${name} keeps its status and loses its text`, async (t) => {
    const { response } = await read(t, 503, text);
    assert.partialDeepStrictEqual(await response, { status: 503, text: '' });
  });
}

test('a response within the limits, and one that is no JSON, is read as it is', async (t) => {
  for (const text of [`[${'0,'.repeat(98)}0]`, `<p>${'[,'.repeat(500)}`, '']) {
    const { response } = await read(t, 200, text);
    assert.equal((await response).text, text);
  }
});
