/** Checks of what Glance downloads by itself: of the address before, and of the data before anyone sees it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentOf } from '../../src/image/content.ts';
import { converge } from '../../src/image/converge.ts';
import type { Facts } from '../../src/image/facts.ts';
import { claimOf, imageIDOf } from '../../src/image/identity.ts';
import { faultOfFetched, type WebDownloads } from '../../src/image/web-download.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createVirtualClock } from '../clock.ts';
import { qcow2 } from '../env/images.ts';
import { identity, imageOf, projectID, resourceOf, uid } from './resource.ts';

const signal = new AbortController().signal;
const mib = 2 ** 20;
const hash = 'e'.repeat(128);
const url = 'https://example.com/image.qcow2?signature=secret';
const http = { url, digest: `sha512:${hash}` };
const resource = resourceOf({
  spec: { content: { http, method: 'WebDownload' }, image: { diskFormat: 'qcow2', visibility: 'private' } },
  status: { imageID: imageIDOf(uid, 0) },
});
const queued = imageOf({ status: 'queued', diskFormat: 'qcow2', hidden: true, size: null, checksum: null, hash: null });
const fetched = (size: number) =>
  imageOf({ diskFormat: 'qcow2', hidden: true, size, hash: { algorithm: 'sha512', value: hash } });

const auth = 'auth: {auth_url: "http://localhost", username: u, password: p, user_domain_id: d, project_id: x}';
const cloud = parseCloud({ cloudsYaml: `clouds: {demo: {${auth}}}` }, 'demo');
const clock = createVirtualClock();
/** No other call than those below must be made. */
const transport = createTransport({ tls: cloud.tls, userAgent: 'test', clock });

/** A Glance with one image, and the calls that it gets. */
function glance(start: Image, data: Buffer) {
  const calls: string[] = [];
  let image = start;
  const images: ImageClient = {
    ...createImageClient(createSession({ cloud, transport, clock, random: () => 0 })),
    get: async () => image,
    async patch(_id, operations) {
      calls.push(`patch ${operations.map(({ path }) => path).join(' ')}`);
      for (const operation of operations) if (operation.path === '/os_hidden') image = { ...image, hidden: false };
      return image;
    },
    async importImage() {
      calls.push('import');
      image = { ...image, status: 'importing' };
    },
    async remove() {
      calls.push('remove');
    },
    async download(_id, { from = 0 }) {
      calls.push(`download from ${from}`);
      return { size: data.length - from, checksum: undefined, body: pieces(data.subarray(from)) };
    },
  };
  return { images, calls };
}

async function* pieces(data: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < data.length; at += mib) yield data.subarray(at, at + mib);
}

async function pass(
  images: ImageClient,
  webDownloads: Partial<WebDownloads> = {},
  status: Partial<GlanceImageStatus> = {},
) {
  const facts: Facts = { changes: [], end: { kind: 'converged' } };
  const observed = { ...resource, status: { ...resource.status, ...status } };
  const options = {
    resource: observed,
    claim: claimOf(observed, identity, projectID),
    images,
    projectID,
    storeNames: async () => undefined,
    clock,
    beforeFirstDeed: async () => {},
    webDownloads: { checkHost: async () => {}, maxVirtualBytes: 2 ** 40, ...webDownloads },
    signal,
  };
  const error = await converge(facts, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { facts, error };
}

test('no import is requested from a host that the egress policy blocks', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  const refused = new OperatorError('refused', { code: 'EgressRefused' });
  const asked: string[] = [];
  const { error } = await pass(images, {
    async checkHost(host) {
      asked.push(host);
      throw refused;
    },
  });
  assert.equal(error, refused);
  assert.deepEqual([asked, calls.includes('import')], [['example.com'], false]);
});

test('no import is requested from a host that cannot be resolved, and the reconcile is retried', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  const { error } = await pass(images, { checkHost: () => Promise.reject(new Error('getaddrinfo ENOTFOUND')) });
  assert(error instanceof OperatorError);
  assert.deepEqual([error.code, error.retry.kind, calls.includes('import')], ['SourceUnreachable', 'backoff', false]);
});

test('an import is requested from a host that the egress policy allows', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  await pass(images);
  assert.deepEqual(calls.at(-1), 'import');
});

test('an image that Glance has fetched is inspected before it becomes visible', async () => {
  const data = qcow2(mib);
  const { images, calls } = glance(fetched(data.length), data);
  const { facts, error } = await pass(images);
  assert.equal(error, undefined);
  assert.deepEqual(calls, ['download from 0', 'patch /os_hidden']);
  assert.deepEqual([facts.end.kind, facts.sent?.content.digest], ['converged', http.digest]);
});

test('the address in the status has no query, which may be a signature', async () => {
  const data = qcow2(mib);
  const { facts } = await pass(glance(fetched(data.length), data).images);
  assert.equal(facts.sent?.content.url, 'https://example.com/image.qcow2?…');
});

test('an unsafe image with the declared digest is deleted and never visible', async () => {
  const data = qcow2(mib, { backingFile: '/etc/passwd' });
  const { images, calls } = glance(fetched(data.length), data);
  const { facts, error } = await pass(images);
  assert(error instanceof OperatorError);
  assert.equal(error.code, 'UnsafeImage');
  assert.deepEqual([calls, facts.image, facts.sent], [['download from 0', 'remove'], 'gone', undefined]);
});

test('an unsafe image with the declared digest that was Ready before is reported and stays', async () => {
  const data = qcow2(mib, { backingFile: '/etc/passwd' });
  const { images, calls } = glance(fetched(data.length), data);
  const { error } = await pass(images, {}, { operation: { incarnation: 0, readyImageID: fetched(1).id } });
  assert(error instanceof OperatorError);
  assert.deepEqual([error.code, calls], ['UnsafeImage', ['download from 0']]);
});

test('an image that cannot be read is neither deleted nor visible', async () => {
  const { images, calls } = glance(fetched(1), Buffer.alloc(0));
  const forbidden = new OperatorError('403', { code: 'Forbidden' });
  const { error } = await pass({ ...images, download: () => Promise.reject(forbidden) });
  assert.equal(error, forbidden);
  assert.deepEqual(calls, []);
});

test('the inspection of a large image reads only its beginning and its end', async () => {
  const content = contentOf(resourceOf({ spec: { content: { http }, image: { diskFormat: 'raw' } } }));
  assert(content !== undefined);
  const data = Buffer.alloc(20 * mib);
  const { images, calls } = glance(imageOf({ size: data.length }), data);
  assert.equal(await faultOfFetched(images, { id: 'x', size: data.length }, content, 2 ** 40, signal), undefined);
  assert.deepEqual(calls, ['download from 0', `download from ${data.length - 65_536}`]);
});

test('an image whose header refers to bytes far inside is not accepted', async () => {
  const content = contentOf(resourceOf({ spec: { content: { http }, image: { diskFormat: 'vhdx' } } }));
  assert(content !== undefined);
  const data = Buffer.alloc(20 * mib);
  data.write('vhdxfile', 0, 'latin1');
  // A region table with one entry, the metadata region.
  const table = 192 * 1024;
  data.write('regi', table, 'latin1');
  data.writeUInt32LE(1, table + 8);
  data.write('06a27c8b90479a4bb8fe575f050f886e', table + 16, 'hex');
  data.writeBigUInt64LE(BigInt(10 * mib), table + 32);
  const { images } = glance(imageOf({ size: data.length }), data);
  const fault = await faultOfFetched(images, { id: 'x', size: data.length }, content, 2 ** 40, signal);
  assert.equal(fault?.code, 'UnsafeImage');
});
