import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverUse } from '../../src/openstack/compute.ts';
import { EndpointNotFound } from '../../src/openstack/errors.ts';
import type { ServiceCall } from '../../src/openstack/session.ts';

const imageID = '70a599e0-31e7-49b7-b260-868f441e862b';
/** As the samples of Nova's API have it. */
const server = {
  id: '22c91117-08de-4894-9aa9-6ef382400985',
  links: [{ href: 'http://openstack.example.com/v2/6f70656e737461636b20342065766572/servers/22c91117', rel: 'self' }],
  name: 'new-server-test',
};

function use(text: string, requests: ServiceCall[] = []) {
  const session = {
    endpoint: async () => 'https://nova.example.com/v2.1',
    async call(_: string, request: ServiceCall) {
      requests.push(request);
      return { status: 200, headers: {}, requestId: undefined, text };
    },
  };
  return serverUse(session, imageID, new AbortController().signal);
}

test('an image is used if Nova lists a server of it, and one server is requested', async () => {
  const requests: ServiceCall[] = [];
  assert.equal(await use(JSON.stringify({ servers: [server], servers_links: [] }), requests), 'used');
  assert.deepEqual(
    requests.map(({ method, path }) => `${method} ${path}`),
    [`GET /servers?image=${imageID}&limit=1`],
  );
});

test('an image is unused only if Nova says so with an empty list', async () => {
  assert.equal(await use(JSON.stringify({ servers: [] })), 'unused');
  for (const text of ['{}', '[]', '{"servers": null}', '{"servers": [{}]}', '<html>'])
    await assert.rejects(use(text), text);
});

test('a cloud whose catalog has no compute service is distinguished from one that does not respond', async () => {
  const session = (error: Error) => ({
    endpoint: () => Promise.reject(error),
    call: () => assert.fail('nothing is called'),
  });
  const { signal } = new AbortController();
  assert.equal(await serverUse(session(new EndpointNotFound('no compute')), imageID, signal), 'noCompute');
  await assert.rejects(serverUse(session(new Error('no response')), imageID, signal), /no response/);
});
