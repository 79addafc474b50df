import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import type { Image } from '../../src/glance/image.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession, type Session } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { type ImageSourceOptions, openImageSource } from '../../src/source/glance.ts';
import { createVirtualClock } from '../clock.ts';
import { generated } from '../env/content.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { patience } from '../env/wait.ts';
import { failsWith, limits, read } from './server.ts';

const size = 3_000_000;
const data = generated(size).slice(0, size);
const quickClock: Clock = { ...systemClock, sleep: async (_ms, signal) => signal?.throwIfAborted() };
const defaults = () => ({
  clock: quickClock,
  random: () => 0.5,
  limits: { ...limits, maxBytes: 10_000_000, stallBytes: 1000 },
  signal: new AbortController().signal,
});

describe('an image of a real Glance, as a source', () => {
  let stack: Stack;
  let proxy: FaultProxy;
  let session: Session;
  let images: ImageClient;
  /** An image that has the data. */
  let filled: string;
  before(async () => {
    stack = await connectStack();
    proxy = await startProxy({ url: stack.openstack.imageUrl });
    const project = await stack.openstack.createProject('source');
    const cloud = parseCloud({ cloudsYaml: await project.cloudsYaml({ imageUrl: proxy.url }) }, 'demo');
    const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
    session = createSession({ cloud, transport, clock: quickClock, random: Math.random });
    images = createImageClient(session);
    filled = await newImage(data);
  });
  after(async () => {
    await session.close();
    await proxy[Symbol.asyncDispose]();
    await stack.stop();
  });

  const signal = () => patience();
  async function newImage(bytes?: Uint8Array): Promise<string> {
    const id = randomUUID();
    const wanted = { name: 'source', diskFormat: 'raw', containerFormat: 'bare', visibility: 'private' };
    await images.create(id, wanted, signal());
    const body = async function* () {
      if (bytes !== undefined) yield bytes;
    };
    if (bytes !== undefined) await images.upload(id, body(), { size: bytes.length, signal: signal() });
    return id;
  }
  const open = (id: string, options: Partial<ImageSourceOptions> = {}) =>
    openImageSource({ images, id, ...defaults(), ...options });
  const isDownload = ({ method, path }: ProxiedRequest) => method === 'GET' && path === `/v2/images/${filled}/file`;
  const downloads = () => proxy.requests.filter(isDownload).length;

  test('an image in Glance gives its bytes, its length and its recorded digest', async () => {
    const source = await open(filled);
    assert.equal(source.size, size);
    assert.equal(source.url, `glance://${filled}`);
    assert.equal(source.endIsCertain, true);
    assert.deepEqual(source.digest, { algorithm: 'sha512', hex: createHash('sha512').update(data).digest('hex') });
    assert.ok((await read(source)).equals(data));
  });

  for (const bytes of [1, size / 2, size - 1])
    test(`a download from Glance resumes when it breaks after ${bytes} bytes`, async () => {
      const removed = proxy.on({ matches: isDownload, fault: { kind: 'truncate', bytes }, times: 1 });
      const resumes: [string, number][] = [];
      const source = await open(filled, { onResume: (why, from) => resumes.push([why.code, from]) });
      assert.ok((await read(source)).equals(data));
      removed();
      assert.deepEqual(resumes, [['SourceTooShort', bytes]]);
    });

  test('a download from Glance fails when it breaks at the same byte repeatedly', async () => {
    const before = downloads();
    const removed = proxy.on({ matches: isDownload, fault: { kind: 'truncate', bytes: 5000 } });
    await assert.rejects(
      read(await open(filled)),
      failsWith('SourceTooShort', new RegExp(`source image ${filled}.*ended early`)),
    );
    removed();
    assert.equal(downloads() - before, 4);
  });

  test('an image without data fails with that reason', async () => {
    const id = await newImage();
    await assert.rejects(open(id), failsWith('SourceNotReady', /is queued: its data is not there yet/, 'after'));
  });

  test('a missing or invisible image is reported as a failure of the source', async () => {
    await assert.rejects(open(randomUUID()), failsWith('SourceNotFound', /the source image .* returned 404/, 'after'));
    const removed = proxy.on({ matches: isDownload, fault: { kind: 'answer', status: 403, body: 'not yours' } });
    await assert.rejects(open(filled), failsWith('SourceForbidden', /source image .*returned 403.*not yours/));
    removed();
  });

  test('an image beyond the size limit is rejected before its data is requested', async () => {
    const before = downloads();
    const tight = { ...limits, maxBytes: 1000 };
    await assert.rejects(
      open(filled, { limits: tight }),
      failsWith('SourceTooLong', /3000000 bytes; the limit is 1000 bytes/),
    );
    assert.equal(downloads(), before);
  });

  test('an abort ends a download from Glance immediately', async () => {
    const controller = new AbortController();
    const reason = new Error('not wanted any more');
    const source = await open(filled, { signal: controller.signal });
    const body = source.body[Symbol.asyncIterator]();
    await body.next();
    controller.abort(reason);
    await assert.rejects(async () => {
      for (;;) if ((await body.next()).done) return;
    }, reason);
  });
});

describe('an image in a state that a Glance shows only at times', () => {
  const image: Image = {
    ...{ id: randomUUID(), name: null, status: 'active', visibility: 'private', protected: false, hidden: false },
    ...{ diskFormat: 'raw', containerFormat: 'bare', minDiskGiB: 0, minRAMMiB: 0, owner: null, tags: [] },
    ...{ size: 4, virtualSize: null, checksum: null, hash: null, properties: {} },
    ...{ createdAt: '2026-01-01T00:00:00Z', updatedAt: '2026-01-01T00:00:00Z' },
  };
  const never = async () => assert.fail('its data was asked for');
  const openAs = (some: Partial<Image>, download: ImageClient['download'] = never) =>
    openImageSource({ images: { get: async () => ({ ...image, ...some }), download }, id: image.id, ...defaults() });

  for (const [status, code] of [
    ['saving', 'SourceNotReady'],
    ['importing', 'SourceNotReady'],
    ['deactivated', 'SourceDeactivated'],
    ['pending_delete', 'SourceNotFound'],
    ['killed', 'SourceNotFound'],
    ['a state of the future', 'SourceUnavailable'],
  ] as const)
    test(`an image in status ${status} is rejected as a source`, async () => {
      await assert.rejects(openAs({ status }), failsWith(code, new RegExp(`the source image .* is ${status}`)));
    });

  test('an image of zero bytes is an empty source', async () => {
    await assert.rejects(openAs({ size: 0 }), failsWith('EmptySource', /has no bytes/));
  });

  const bytesOf =
    (...chunks: string[]): ImageClient['download'] =>
    async () => ({
      size: undefined,
      checksum: undefined,
      body: (async function* () {
        for (const chunk of chunks) yield Buffer.from(chunk);
      })(),
    });

  test('the digest of an image is the md5 without a newer one, and absent without both', async () => {
    const checksum = 'd'.repeat(32);
    const md5 = { algorithm: 'md5', hex: checksum };
    const unknown = { algorithm: 'blake2b', value: 'e'.repeat(128) };
    assert.deepEqual((await openAs({ checksum }, bytesOf('data'))).digest, md5);
    assert.deepEqual((await openAs({ checksum, hash: unknown }, bytesOf('data'))).digest, md5);
    assert.equal((await openAs({}, bytesOf('data'))).digest, undefined);
  });

  test('an image with other bytes than recorded fails', async () => {
    await assert.rejects(
      read(await openAs({}, bytesOf('da', 'ta', '!'))),
      failsWith('SourceTooLong', /more than the 4 bytes/),
    );
    await assert.rejects(read(await openAs({}, bytesOf('da'))), failsWith('SourceTooShort', /after 2 of 4 bytes/));
  });

  test('a stalled download from Glance is closed and retried', async () => {
    const clock = createVirtualClock();
    const asked: AbortSignal[] = [];
    const download: ImageClient['download'] = async (_id, { signal }) => {
      const isFirst = asked.push(signal) === 1;
      const body = async function* () {
        yield Buffer.from('da');
        if (isFirst) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        yield Buffer.from('ta');
      };
      return { size: 4, checksum: undefined, body: body() };
    };
    const images = { get: async () => image, download };
    const source = await openImageSource({ images, id: image.id, ...defaults(), clock });
    const body = source.body[Symbol.asyncIterator]();
    assert.equal(String((await body.next()).value), 'da');
    const rest = body.next();
    await clock.advance(60_000);
    assert.equal(asked[0]?.aborted, true);
    await clock.advance(1000);
    assert.equal(String((await rest).value), 'ta');
    assert.equal((await body.next()).done, true);
    assert.equal(clock.pending, 0);
  });
});
