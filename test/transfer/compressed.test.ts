import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { digestOf, generated } from '../env/content.ts';
import { tool, xzStream } from '../source/decompress/files.ts';
import { useScene } from './real.ts';

const mib = 2 ** 20;
const scene = useScene();

/** Half of it noise, half of it zeros. */
const image = Buffer.concat([generated(mib).slice(0, mib), Buffer.alloc(mib)]);
const packed = { gzip: gzipSync(image), zstd: zstdCompressSync(image) };
const sha256 = (data: Buffer) => `sha256:${digestOf(data)}`;

for (const compression of ['gzip', 'zstd'] as const) {
  test(`a file compressed with ${compression} is decompressed, and the digest of either is verified`, async () => {
    const { source, path, plan, run, project } = scene();
    const body = packed[compression];
    const url = source.add(path(), { body });
    for (const [digestOf, digest] of [
      ['Served', sha256(body)],
      ['Image', sha256(image)],
    ] as const) {
      const wanted = await plan({ url, digest, digestOf });
      const result = await run(wanted);
      const found = await project.getImage(wanted.imageID);
      assert.deepEqual([found.status, found.size], ['active', image.length]);
      assert.deepEqual(
        [result.compression, result.bytes, result.servedBytes, result.digest],
        [compression, image.length, body.length, digest],
      );
      assert.equal(result.imageDigest, `sha512:${found.os_hash_value}`);
    }
  });
}

test('the digest of the file does not match the image in it, and vice versa', async () => {
  const { source, path, plan, run, settled } = scene();
  const url = source.add(path(), { body: packed.gzip });
  for (const [digestOf, digest, words] of [
    ['Served', sha256(image), /^as served, http.* does not have the declared digest/],
    ['Image', sha256(packed.gzip), /^decompressed, http.* does not have the declared digest/],
  ] as const) {
    const wanted = await plan({ url, digest, digestOf });
    await assert.rejects(run(wanted), { code: 'DigestMismatch', message: words });
    assert.equal((await settled(wanted)).status, 'queued');
  }
});

test('a compressed file that must not be decompressed is rejected as a disk image', async () => {
  const { source, path, plan, run, project } = scene();
  const url = source.add(path(), { body: packed.gzip });
  await assert.rejects(run(await plan({ url, decompress: 'None' })), { code: 'FormatMismatch' });
  const kernel = await plan({ url, diskFormat: 'aki' }, { container_format: 'aki' });
  const result = await run(kernel);
  assert.deepEqual([result.compression, result.bytes], [undefined, packed.gzip.length]);
  assert.equal((await project.getImage(kernel.imageID)).status, 'active');
});

test('a damaged file or a decompression bomb never becomes active', async () => {
  const { source, path, plan, run, settled } = scene();
  const damaged = Buffer.from(packed.gzip);
  damaged.writeUInt8(damaged.readUInt8(mib / 2) ^ 1, mib / 2);
  const wrong = await plan({ url: source.add(path(), { body: damaged }) });
  await assert.rejects(run(wrong), { code: 'CompressionInvalid' });
  assert.equal((await settled(wrong)).status, 'queued');
  const bomb = gzipSync(Buffer.alloc(64 * mib));
  const limits = { maxBytes: 32 * mib };
  const boom = await plan({ url: source.add(path(), { body: bomb }), limits });
  await assert.rejects(run(boom), { code: 'CompressionBomb' });
  assert.equal((await settled(boom)).status, 'queued');
});

test('the download of a compressed file is resumed after a break', async () => {
  const { source, path, plan, run, settled } = scene();
  const body = packed.zstd;
  const faults = [300_000, 600_000, 900_000].map((byte) => ({ kind: 'resetAt', byte }) as const);
  const wanted = await plan({ url: source.add(path(), { body, faults }), digest: sha256(body) });
  const result = await run(wanted);
  assert.deepEqual([result.resumes, result.bytes], [3, image.length]);
  assert.equal((await settled(wanted)).status, 'active');
});

const zst = { body: packed.zstd, digest: sha256(packed.zstd) };

test('a mirror that compresses the image differently is used when the declared file is gone', async () => {
  const { source, path, plan, run, settled } = scene();
  const gone = source.add(path(), { body: packed.gzip, status: 404 });
  const other = source.add(path(), { body: zst.body });
  const wanted = await plan({ url: gone, digest: sha256(packed.gzip), mirrors: [{ url: other, digest: zst.digest }] });
  const result = await run(wanted);
  assert.deepEqual([result.url, result.digest, result.compression], [other, zst.digest, 'zstd']);
  assert.deepEqual([(await settled(wanted)).status, result.bytes], ['active', image.length]);
});

test('a mirror that compresses the image differently is used when the declared file breaks off for good', async () => {
  const { source, path, plan, run, settled, puts } = scene();
  const fault = { kind: 'resetAt', byte: 700_000 } as const;
  const broken = source.add(path(), { body: packed.gzip, fault, ranges: false });
  const other = source.add(path(), { body: zst.body });
  const wanted = await plan({
    url: broken,
    digest: sha256(packed.gzip),
    mirrors: [{ url: other, digest: zst.digest }],
  });
  const result = await run(wanted);
  assert.deepEqual([result.url, result.digest], [other, zst.digest]);
  assert.deepEqual([(await settled(wanted)).size, puts(wanted)], [image.length, 2]);
});

test('a mirror with another file must have its own digest, and the failure of a transfer names all files', async () => {
  const { source, path, plan, run, settled } = scene();
  const gone = source.add(path(), { body: packed.gzip, status: 404 });
  const other = source.add(path(), { body: zst.body });
  const wrong = await plan({
    url: gone,
    digest: sha256(packed.gzip),
    mirrors: [{ url: other, digest: sha256(image) }],
  });
  await assert.rejects(run(wrong), { code: 'DigestMismatch' });
  assert.equal((await settled(wrong)).status, 'queued');
  const also = source.add(path(), { body: zst.body, status: 403 });
  const none = await plan({ url: gone, digest: sha256(packed.gzip), mirrors: [{ url: also, digest: zst.digest }] });
  await assert.rejects(run(none), {
    message: /404 Not Found.*The other addresses of the source failed too: .*403 Forbidden/,
  });
});

const large = generated(3 * mib).slice(0, 3 * mib);
const announced = (wanted: { imageID: string }) => {
  const puts = scene().glance.requests.filter(({ method, path }) => method === 'PUT' && path.includes(wanted.imageID));
  return puts.map(({ headers }) => headers['x-openstack-image-size']);
};

test('Glance gets the length of xz and zstd data before the first byte, so that its stores need not grow the image', async () => {
  const { source, path, plan, run, settled } = scene();
  for (const body of [tool('xz -c -0', large), zstdCompressSync(large)]) {
    const wanted = await plan({ url: source.add(path(), { body }), digest: sha256(body) });
    await run(wanted);
    const found = await settled(wanted);
    assert.deepEqual([found.status, found.size], ['active', large.length]);
    assert.deepEqual(announced(wanted), [String(large.length)]);
  }
});

test('a file on a server without ranges, or compressed with gzip, is stored without its length ahead', async () => {
  const { source, path, plan, run, settled } = scene();
  for (const [body, ranges] of [
    [tool('xz -c -0', large), false],
    [gzipSync(large), true],
  ] as const) {
    const wanted = await plan({ url: source.add(path(), { body, ranges }), digest: sha256(body) });
    await run(wanted);
    assert.equal((await settled(wanted)).size, large.length);
    assert.deepEqual(announced(wanted), [undefined]);
  }
});

test('a zstd file that has more data than its first frame states is stored as a whole by a second upload without a length', async () => {
  const { source, path, plan, run, settled } = scene();
  const body = Buffer.concat([zstdCompressSync(large), zstdCompressSync(image)]);
  const wanted = await plan({ url: source.add(path(), { body }), digest: sha256(body) });
  await run(wanted);
  const found = await settled(wanted);
  assert.deepEqual([found.status, found.size], ['active', large.length + image.length]);
  // The second one is repeated where Glance begins with the first one only after that has ended.
  const [first, ...others] = announced(wanted);
  assert.deepEqual([first, new Set(others)], [String(large.length), new Set([undefined])]);
});

test('an xz file whose index states another length never becomes active, and the message says what is wrong', async () => {
  const { source, path, plan, run, settled } = scene();
  const blocks = Array.from({ length: 40 }, (_, index) => ({
    data: large.subarray(index * 65_536, (index + 1) * 65_536),
  }));
  for (const by of [-1000, 1000]) {
    const lie = xzStream(blocks, {
      records: ([[unpadded, size] = [0, 0], ...rest]) => [[unpadded, size + by], ...rest],
    });
    const wanted = await plan({ url: source.add(path(), { body: lie }), digest: sha256(lie) });
    await assert.rejects(run(wanted), { code: 'CompressionInvalid', message: /the index does not fit the blocks/ });
    assert.equal((await settled(wanted)).status, 'queued');
  }
});
