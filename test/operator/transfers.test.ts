import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { findCondition } from '../../src/api/conditions.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { generated } from '../env/content.ts';
import { qcow2, raw } from '../env/images.ts';
import { startProxy } from '../env/proxy.ts';
import { startSource } from '../env/source.ts';
import { writeQcow2 } from '../source/convert/qcow2.ts';
import { digestOf } from './digest.ts';
import { messageOf, reasonOf, World } from './world.ts';

const body = raw(256 * 1024);

describe('data arrives as it is declared', () => {
  let world: World;
  let directory: string;
  let installed: Certificates;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'bundle-'));
    installed = await makeCertificates();
    await writeFile(join(directory, 'ca.crt'), installed.ca);
    world = await World.create({ flags: ['--ca-bundle', join(directory, 'ca.crt')] });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });

  const source = (http: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
    image: { diskFormat: 'raw' },
    content: { http },
    ...more,
  });

  test('a compressed file is decompressed and verified by the digest of either form', async () => {
    const image = qcow2(3 * 2 ** 30);
    const file = gzipSync(image);
    const url = world.source.add('/image.qcow2.gz', { body: file });
    const of = (digestOf: string, digest: string) => ({
      image: { diskFormat: 'qcow2', minDiskGiB: 3 },
      content: { http: { url, digest, digestOf } },
    });
    await world.apply('served', of('Served', digestOf(file)));
    await world.apply('image', of('Image', digestOf(image)));
    for (const name of ['served', 'image']) {
      const { status } = await world.ready(name);
      assert.equal(`sha512:${status.image?.hash?.value}`, digestOf(image, 'sha512'));
      assert.equal(status.image?.virtualSize, 3 * 2 ** 30);
      assert.partialDeepStrictEqual(status.content, {
        compression: 'gzip',
        size: image.length,
        virtualSize: 3 * 2 ** 30,
        imageDigest: digestOf(image, 'sha512'),
      });
    }
  });

  test('a qcow2 file is converted to raw, with both digests in the status, and a server without ranges is a reason of its own', async () => {
    const { file, disk } = writeQcow2({ clusters: ['data', 'absent', 'packed', 'zeros', 'data'], order: [2, 1, 3] });
    const url = world.source.add('/disk.qcow2', { body: file });
    const converted = (http: object) => ({ image: { diskFormat: 'raw' }, content: { http, convert: 'Raw' } });
    await world.apply('converted', converted({ url, digest: digestOf(file) }));
    const { status } = await world.ready('converted');
    assert.deepEqual([status.image?.diskFormat, status.image?.hash?.value], ['raw', digestOf(disk, 'sha512').slice(7)]);
    assert.partialDeepStrictEqual(status.content, {
      digest: digestOf(file),
      imageDigest: digestOf(disk, 'sha512'),
      size: disk.length,
      virtualSize: disk.length,
    });
    const fixed = world.source.add('/whole.qcow2', { body: file, ranges: false });
    await world.apply('whole', converted({ url: fixed, digest: digestOf(file) }));
    const { status: failed } = await world.reason('whole', 'ConversionNeedsRanges');
    assert.match(failed.lastError?.message ?? '', /publish the result of qemu-img convert -O raw/);
  });

  test('a file in a format that is never decompressed stays compressed', async () => {
    const file = gzipSync(body);
    const url = world.source.add('/initrd', { body: file });
    await world.apply('ramdisk', {
      image: { diskFormat: 'ari', containerFormat: 'ari' },
      content: { http: { url, digest: digestOf(file) } },
    });
    const { status } = await world.ready('ramdisk');
    assert.equal(status.image?.size, file.length);
  });

  test('the next mirror continues at the byte where the URL failed', async () => {
    const file = generated(2 ** 20, 'mirrored');
    const broken = world.source.add('/broken.raw', { body: file, fault: { kind: 'resetAt', byte: 600_000 } });
    world.source.remove('/gone.raw');
    const mirror = world.source.add('/mirror.raw', { body: file });
    const mirrors = [{ url: `${world.source.url}/gone.raw` }, { url: mirror }];
    await world.apply('mirrored', source({ url: broken, mirrors, digest: digestOf(file) }));
    const { status } = await world.ready('mirrored');
    assert.equal(status.content?.url, mirror);
    const asked = world.source.requests.filter(({ path }) => path === '/mirror.raw').map(({ range }) => range);
    assert.deepEqual(asked, ['bytes=600000-']);
  });

  test('a private source gets its headers and is trusted through its own authority', async () => {
    const { ca, good } = await makeCertificates();
    await using disposer = new AsyncDisposableStack();
    const server = await startSource({ tls: good });
    disposer.defer(() => server.stop());
    const secret = 'Bearer planted-secret-of-the-source';
    const url = server.add('/private.raw', { body, required: { authorization: secret } });
    await world.writeSecret('headers', { Authorization: secret }, new URL(url).origin);
    await world.writeSecret('authority', { 'ca.crt': ca });
    const http = { url, digest: digestOf(body), caSecretRef: { name: 'authority' } };
    await world.apply('no-headers', source(http));
    await world.reason('no-headers', 'SourceForbidden');
    await world.apply('private', source({ ...http, headersSecretRef: { name: 'headers' } }));
    const resource = await world.ready('private');
    const seen = [JSON.stringify(resource), ...world.operator.log, ...(await world.events()).map(({ note }) => note)];
    assert.ok(!seen.some((text) => text.includes('planted-secret')));
  });

  test('a source is trusted through the bundle of the installation', async () => {
    const server = await startSource({ tls: installed.good });
    try {
      const url = server.add('/bundled.raw', { body });
      await world.apply('bundled', source({ url, digest: digestOf(body) }));
      await world.ready('bundled');
    } finally {
      await server.stop();
    }
  });

  test('a Secret of headers that appears later is used without a restart', async () => {
    const url = world.source.add('/late.raw', { body, required: { 'x-token': 'late' } });
    await world.apply('late', source({ url, digest: digestOf(body), headersSecretRef: { name: 'late' } }));
    await world.reason('late', 'SecretNotFound');
    await world.writeSecret('late', { 'x-token': 'late' });
    assert.match(messageOf(await world.reason('late', 'SecretInvalid')), /has no annotation .*\/hosts/);
    await world.writeSecret('late', { 'x-token': 'late' }, new URL(url).origin);
    await world.ready('late');
  });

  test('a weak digest is verified and causes a warning', async () => {
    const url = world.source.add('/weak.raw', { body });
    await world.apply('weak', source({ url, digest: digestOf(body, 'md5') }));
    const { status } = await world.ready('weak');
    const warning = findCondition(status.conditions, 'Warning');
    assert.equal(warning?.reason, 'WeakDigest');
    assert.match(warning?.message ?? '', /declare a sha256 or sha512/);
  });

  test('a corrected digest takes effect in place and cancels the wrong transfer', async () => {
    const released = new Promise(() => {});
    const url = world.source.add('/typo.raw', { body: generated(2 ** 20), gate: { at: 2 ** 19, released } });
    await world.apply('typo', source({ url, digest: digestOf(Buffer.from('typo')) }));
    await world.source.requested('/typo.raw');
    const right = world.source.add('/right.raw', { body });
    await world.apply('typo', source({ url: right, digest: digestOf(body) }));
    const { status } = await world.ready('typo');
    assert.equal(status.content?.url, right);
    assert.equal(status.lastError, undefined);
    assert.equal((await world.images()).filter(({ name }) => name === 'typo').length, 1);
  });

  test('another image of Glance can be the source, also one of another project', async () => {
    const own = await world.project.createImage({ name: 'own' }, body);
    await world.apply('copy', { image: { diskFormat: 'raw' }, content: { glance: { image: own.id } } });
    const copied = await world.ready('copy');
    assert.equal(copied.status.image?.hash?.value, own.os_hash_value);

    const other = await world.stack.openstack.createProject();
    const foreign = await other.createImage({ name: 'foreign' }, body);
    await world.apply('not-mine', { image: { diskFormat: 'raw' }, content: { glance: { image: foreign.id } } });
    const refused = await world.until('not-mine', 'failed', ({ status }) => status.lastError !== undefined);
    assert.match(refused.status.lastError?.message ?? '', /404/);
    const image = `${world.stack.openstack.imageUrl}/v2/images/${foreign.id}`;
    await world.writeSecret('other', { 'clouds.yaml': await other.cloudsYaml({ cloudName: 'other' }) });
    const cloud = { secretRef: { name: 'other' }, name: 'other' };
    await world.apply('from-other', { image: { diskFormat: 'raw' }, content: { glance: { image, cloud } } });
    await world.ready('from-other');
  });

  test('an address of another server gets no token, and the message says what to do', async () => {
    await using elsewhere = await startProxy({ url: world.stack.openstack.imageUrl });
    const own = await world.project.createImage({ name: 'own' }, body);
    const cloud = { secretRef: { name: 'openstack' }, name: 'demo' };
    const image = `${elsewhere.url}/v2/images/${own.id}`;
    await world.apply('lured', { image: { diskFormat: 'raw' }, content: { glance: { image, cloud } } });
    const resource = await world.reason('lured', 'InvalidSpec');
    assert.match(messageOf(resource), /is no image endpoint of cloud demo, .*name the cloud that it belongs to/);
    assert.deepEqual(elsewhere.requests, []);
  });

  test('staging and imports by Glance fill the declared stores', async () => {
    const url = world.source.add('/stored.raw', { body });
    const http = { url, digest: digestOf(body) };
    await world.apply('slow', { image: { diskFormat: 'raw', stores: ['slow'] }, content: { http } });
    await world.apply('both', { image: { diskFormat: 'raw', allStores: true }, content: { http, method: 'Stage' } });
    assert.deepEqual((await world.ready('slow')).status.image?.stores, ['slow']);
    assert.deepEqual((await world.ready('both')).status.image?.stores?.toSorted(), ['fast', 'slow']);
    await world.apply('nowhere', { image: { diskFormat: 'raw', stores: ['nowhere'] }, content: { http } });
    const { status } = await world.until('nowhere', 'failed', (resource) => resource.status.lastError !== undefined);
    assert.match(status.lastError?.message ?? '', /has no store "nowhere"; it has fast, slow/);
  });
});

describe('limits', () => {
  test('raised transfer limits start a waiting transfer next to a running one', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'limits-'));
    t.after(() => rm(directory, { recursive: true }));
    const file = join(directory, 'limits.yaml');
    await writeFile(file, 'total: 1\n');
    await using world = await World.create({ flags: ['--transfer-limits', file, '--transfers', '1'] });
    const released = Promise.withResolvers<void>();
    // So late that the transfer is resumed where the machine is so slow that the source seems to have stalled.
    const slow = world.source.add('/slow.raw', { body, gate: { at: 128 * 1024, released: released.promise } });
    const http = (url: string) => ({
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body) } },
    });
    await world.apply('first', http(slow));
    await world.source.requested('/slow.raw');
    // A resource that has a status shows at once that it waits; a new one after half a minute.
    const second = http(world.source.add('/second.raw', { body }));
    await world.apply('second', { ...second, suspend: true });
    await world.reason('second', 'Suspended');
    await world.apply('second', second);
    assert.match(messageOf(await world.reason('second', 'Queued')), /position 1/);
    await writeFile(file, 'total: 2\n');
    await world.ready('second');
    const first = (await world.get('first')) ?? assert.fail();
    assert.equal(reasonOf(first), 'Transferring');
    released.resolve();
    await world.ready('first');
    const begun = world.source.requests.filter(({ path, range }) => path === '/slow.raw' && range === undefined);
    assert.equal(begun.length, 1, 'it was begun again');
  });
});
