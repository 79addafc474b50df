import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Catalog, findEndpoints } from '../../src/openstack/catalog.ts';
import { serverUse } from '../../src/openstack/compute.ts';
import { EndpointNotFound } from '../../src/openstack/errors.ts';
import type { ServiceConfig } from '../../src/openstack/services.ts';
import type { ServiceCall } from '../../src/openstack/session.ts';
import { cloudOf, signal } from './fake-cloud.ts';

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

function useWithout(error: unknown) {
  const session = { endpoint: () => Promise.reject(error), call: () => assert.fail('nothing is called') };
  return serverUse(session, imageID, new AbortController().signal);
}

/** Why there is no endpoint of Nova in this catalog. */
function missing(catalog: Catalog, wanted: Partial<ServiceConfig> = {}): unknown {
  const compute = { type: 'compute', name: undefined, region: 'RegionOne', interfaces: ['internal'] as const };
  try {
    return findEndpoints(catalog, { ...compute, override: undefined, ...wanted });
  } catch (error) {
    return error;
  }
}

const image = { type: 'image', name: 'glance', endpoints: [] };
const nova = (name: string, region: string) => ({
  type: 'compute',
  name: 'nova',
  endpoints: [{ interface: name, region, url: 'https://nova.example.com/v2.1' }],
});

test('a cloud whose catalog has no compute service is distinguished from one that does not respond', async () => {
  assert.equal(await useWithout(missing([image])), 'noCompute');
  assert.equal(await useWithout(missing([image, { type: 'compute', name: 'nova', endpoints: [] }])), 'noCompute');
  await assert.rejects(useWithout(new Error('no response')), /no response/);
});

test('a compute service without an endpoint for the configured name, interface and region never means that an image is unused', async () => {
  for (const error of [
    missing([image, nova('public', 'RegionOne')]),
    missing([image, nova('internal', 'RegionTwo')]),
    missing([image, nova('internal', 'RegionOne')], { name: 'other' }),
  ])
    await assert.rejects(useWithout(error), EndpointNotFound);
});

test('without a configured region, the servers of the region from which the images come are requested', async (t) => {
  const compute = (region: string) => ({
    interface: 'public',
    region_id: region,
    url: `http://nova-${region.toLowerCase()}/v2.1`,
  });
  const services = (...regions: string[]) => [{ type: 'compute', name: 'nova', endpoints: regions.map(compute) }];
  const here = cloudOf(t, { services: services('A', 'R') });
  assert.equal(await here.session.endpoint('compute', signal()), 'http://nova-r/v2.1');
  const elsewhere = cloudOf(t, { services: services('A') });
  await assert.rejects(
    serverUse(elsewhere.session, imageID, signal()),
    /no public endpoint of type compute in region R/,
  );
});
