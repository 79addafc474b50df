/** Checks of what Glance downloads by itself: of the address before, and of the data before anyone sees it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import type { Image } from '../../src/glance/image.ts';
import { createRecentImages } from '../../src/image/access/recent.ts';
import { contentOf } from '../../src/image/model/content.ts';
import { contentProperty, markOf } from '../../src/image/model/identity.ts';
import type { Memory } from '../../src/image/model/memory.ts';
import { createMemberReadings } from '../../src/image/observe/member-readings.ts';
import { pursue } from '../../src/image/perform/pursue.ts';
import { faultOfFetched, type WebDownloads } from '../../src/image/perform/web-download.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { createVirtualClock } from '../clock.ts';
import { qcow2 } from '../env/images.ts';
import { identity, imageOf, resourceOf } from './resource.ts';
import { desiredOf, knows, owner, promotes, stateOf } from './states.ts';
import { noConfigMaps } from './stub-glance.ts';

const signal = new AbortController().signal;
const mib = 2 ** 20;
const hash = 'e'.repeat(128);
const url = 'https://example.com/image.qcow2?signature=secret';
const http = { url, digest: `sha512:${hash}` };
const declared = {
  spec: { content: { http, method: 'WebDownload' }, image: { diskFormat: 'qcow2', visibility: 'private' } },
};
const desired = desiredOf(declared);
const unseen = {
  diskFormat: 'qcow2',
  hidden: true,
  properties: { ...markOf(identity), [contentProperty]: desired.fingerprint ?? assert.fail() },
};
const queued = imageOf({ ...unseen, status: 'queued', size: null, checksum: null, hash: null });
const fetched = (size: number) => imageOf({ ...unseen, size, hash: { algorithm: 'sha512', value: hash } });

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
    usage: async () => ({}),
    async patch(_id, operations) {
      calls.push(`patch ${operations.map(({ path }) => path).join(' ')}`);
      for (const operation of operations) if (operation.path === '/os_hidden') image = { ...image, hidden: false };
      return image;
    },
    async importImage() {
      calls.push('import');
      image = { ...image, status: 'importing', properties: { ...image.properties, os_glance_import_task: 'x' } };
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
  start: { image: Image; memory?: Memory; desired?: typeof desired } = { image: queued },
) {
  const state = stateOf([start.image], start.memory);
  const pursued = await pursue(start.desired ?? desired, state, {
    images,
    servers: async () => 'noCompute',
    recent: createRecentImages(clock),
    owner,
    clock,
    guard: async () => true,
    confirm: async () => 'current',
    record: async () => 'written',
    memberReadings: createMemberReadings(clock),
    configMaps: noConfigMaps,
    webDownloads: { checkURL: async () => {}, maxVirtualBytes: 2 ** 40, ...webDownloads },
    signal,
  });
  assert(pursued.kind !== 'gone' && pursued.kind !== 'outdated');
  return pursued;
}

function errorOf(pursued: Awaited<ReturnType<typeof pass>>): OperatorError {
  const error = pursued.kind === 'failed' ? pursued.error : undefined;
  assert(error instanceof OperatorError);
  return error;
}

test('no import is requested from a host that the egress policy blocks', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  const refused = new OperatorError('refused', { code: 'EgressRefused' });
  const asked: string[] = [];
  const pursued = await pass(images, {
    async checkURL({ href }) {
      asked.push(href);
      throw refused;
    },
  });
  assert.equal(errorOf(pursued), refused);
  assert.deepEqual([asked, calls.includes('import')], [[url], false]);
});

test('no import is requested from a host that cannot be resolved, and the reconcile is retried', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  const error = errorOf(await pass(images, { checkURL: () => Promise.reject(new Error('getaddrinfo ENOTFOUND')) }));
  assert.deepEqual([error.code, error.retry.kind, calls.includes('import')], ['SourceUnreachable', 'backoff', false]);
});

test('no import is requested from a URL that the operator cannot parse and Glance may, such as one of a link-local address with a zone', async () => {
  for (const hostname of ['[fe80::a9fe:a9fe%eth0]', '[fe80::a9fe:a9fe%25eth0]', 'example.com:99999', 'a%00b']) {
    const spec = {
      ...declared.spec,
      content: { ...declared.spec.content, http: { ...http, url: `http://${hostname}/x` } },
    };
    const wanted = desiredOf({ spec });
    const { images, calls } = glance(queued, Buffer.alloc(0));
    const error = errorOf(await pass(images, {}, { image: queued, desired: wanted }));
    assert.deepEqual([error.code, error.retry.kind, calls], ['SourceURLInvalid', 'change', []]);
    assert.match(error.message, /^no import was requested, because the URL in spec\.content is not valid/);
  }
});

test('an import is requested from a host that the egress policy allows, and waited for', async () => {
  const { images, calls } = glance(queued, Buffer.alloc(0));
  assert.partialDeepStrictEqual(await pass(images), { kind: 'next', next: { kind: 'wait', phase: 'Importing' } });
  assert.deepEqual(calls, ['import']);
});

test('an image that Glance has fetched is inspected before it becomes visible', async () => {
  const data = qcow2(mib);
  const image = fetched(data.length);
  const { images, calls } = glance(image, data);
  const pursued = await pass(images, {}, { image });
  assert.deepEqual(calls, ['download from 0', 'patch /os_hidden']);
  assert.partialDeepStrictEqual(pursued, {
    kind: 'next',
    next: { kind: 'settled' },
    content: { imageID: image.id, digest: http.digest, size: data.length },
    state: { memory: { findings: [{ imageID: image.id, verdict: 'right', hash: http.digest }] } },
  });
});

test('the address in the status has no query, which may be a signature', async () => {
  const data = qcow2(mib);
  const image = fetched(data.length);
  const pursued = await pass(glance(image, data).images, {}, { image });
  assert.partialDeepStrictEqual(pursued, { content: { url: 'https://example.com/image.qcow2?…' } });
});

test('an unsafe image with the declared digest is deleted and never visible, and that is reported', async () => {
  const data = qcow2(mib, { backingFile: '/etc/passwd' });
  const image = fetched(data.length);
  const { images, calls } = glance(image, data);
  const pursued = await pass(images, {}, { image });
  assert.deepEqual(calls, ['download from 0', 'remove']);
  assert.partialDeepStrictEqual(pursued, { next: { kind: 'blocked', code: 'UnsafeImage' }, content: undefined });
  assert(pursued.state.observed.revisions.length === 0);
});

test('an unsafe image with the declared digest that consumers know stays until another one is verified', async () => {
  const data = qcow2(mib, { backingFile: '/etc/passwd' });
  const image = fetched(data.length);
  const { images, calls } = glance(image, data);
  const refused = new OperatorError('not created in this test', { code: 'Forbidden' });
  const pursued = await pass(
    { ...images, create: () => Promise.reject(refused) },
    {},
    { image, memory: promotes(image) },
  );
  assert.equal(errorOf(pursued), refused);
  assert.deepEqual(calls, ['download from 0']);
  assert.partialDeepStrictEqual(pursued.state.memory.findings, [{ verdict: 'wrong', code: 'UnsafeImage' }]);
});

test('an image that cannot be read is neither deleted nor visible', async () => {
  const image = fetched(1);
  const { images, calls } = glance(image, Buffer.alloc(0));
  const forbidden = new OperatorError('403', { code: 'Forbidden' });
  const download = () => Promise.reject(forbidden);
  const pursued = await pass({ ...images, download }, {}, { image, memory: knows([image]) });
  assert.equal(errorOf(pursued), forbidden);
  assert.deepEqual(calls, []);
});

test('the inspection of a large image reads only its beginning and its end', async () => {
  const content = contentOf(resourceOf({ spec: { content: { http }, image: { diskFormat: 'raw' } } }));
  assert(content !== undefined);
  const data = Buffer.alloc(20 * mib);
  const { images, calls } = glance(imageOf({ size: data.length }), data);
  assert.equal(
    await faultOfFetched(images, { id: 'x', size: data.length }, content, { maxVirtualBytes: 2 ** 40 }, signal),
    undefined,
  );
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
  const fault = await faultOfFetched(
    images,
    { id: 'x', size: data.length },
    content,
    { maxVirtualBytes: 2 ** 40 },
    signal,
  );
  assert.equal(fault?.code, 'UnsafeImage');
});

test('a fetched image with a partition table that the installation tolerates is right, and unsafe otherwise', async () => {
  const content = contentOf(resourceOf({ spec: { content: { http }, image: { diskFormat: 'raw' } } }));
  assert(content !== undefined);
  const data = Buffer.alloc(mib);
  data.writeUInt16LE(0xaa55, 510);
  const faultWith = (nonfatal: readonly string[]) => {
    const { images } = glance(imageOf({ size: data.length }), data);
    return faultOfFetched(
      images,
      { id: 'x', size: data.length },
      content,
      { maxVirtualBytes: 2 ** 40, nonfatal },
      signal,
    );
  };
  assert.equal((await faultWith([]))?.code, 'UnsafeImage');
  assert.equal(await faultWith(['mbr']), undefined);
});
