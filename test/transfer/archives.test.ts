import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, generated } from '../env/content.ts';
import { packed, tar, tarEntry, zip } from '../source/archive/files.ts';
import { useScene } from './real.ts';

const mib = 2 ** 20;
const scene = useScene();

/** Half of it noise, half of it zeros. */
const image = Buffer.concat([generated(mib).slice(0, mib), Buffer.alloc(mib)]);
const sha256 = (data: Buffer) => `sha256:${digestOf(data)}`;
const files = { 'disk.raw': image, README: Buffer.from('read me') };
const archives = {
  'tar.xz': () => packed(files, 'tar', '-cJf', '-', 'disk.raw'),
  'tar.zst': () => packed(files, 'tar', '--zstd', '-cf', '-', 'disk.raw'),
  zip: () => packed(files, 'zip', '-q', 'OUT', 'disk.raw'),
};
const compressionOf = { 'tar.xz': 'xz', 'tar.zst': 'zstd', zip: 'zip' };

for (const kind of ['tar.xz', 'tar.zst', 'zip'] as const) {
  test(`the disk in a ${kind} becomes the image, and the digest of the archive or of the disk is verified`, async () => {
    const { source, path, plan, run, project } = scene();
    const body = archives[kind]();
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
        [result.compression, result.member, result.bytes, result.servedBytes, result.digest],
        [compressionOf[kind], 'disk.raw', image.length, body.length, digest],
      );
      assert.equal(result.imageDigest, `sha512:${found.os_hash_value}`);
    }
  });
}

test('the declared file of an archive becomes the image, also where the archive goes on behind it', async () => {
  const { source, path, plan, run, settled } = scene();
  const body = packed(files, 'tar', '-czf', '-', 'disk.raw', 'README');
  const url = source.add(path(), { body });
  const wanted = await plan({ url, digest: sha256(body), member: '*.raw' });
  assert.deepEqual([(await run(wanted)).member, (await settled(wanted)).size], ['disk.raw', image.length]);
  const unclear = await plan({ url, digest: sha256(body) });
  await assert.rejects(run(unclear), { code: 'ArchiveMemberNotFound' });
  assert.equal((await settled(unclear)).status, 'queued');
});

test('an archive that is found to be wrong behind the image never becomes active', async () => {
  const { source, path, plan, run, settled } = scene();
  const link = tar(tarEntry({ data: image }), { name: 'link', type: '2' });
  const lie = zip([{ data: image, listed: { size: 1 } }]);
  for (const body of [link, lie]) {
    const wanted = await plan({ url: source.add(path(), { body }), digest: sha256(body) });
    await assert.rejects(run(wanted), { code: 'ArchiveInvalid' });
    assert.equal((await settled(wanted)).status, 'queued');
  }
});

test('an archive in the container ova is stored as it is', async () => {
  const { source, path, plan, run, settled } = scene();
  const body = tar({ name: 'appliance.ovf', data: Buffer.from('<x/>') }, { name: 'disk.vmdk', data: image });
  const formats = { diskFormat: 'vmdk', containerFormat: 'ova' };
  const wanted = await plan(
    { url: source.add(path(), { body }), digest: sha256(body), ...formats },
    { container_format: 'ova' },
  );
  assert.deepEqual([(await run(wanted)).member, (await settled(wanted)).size], [undefined, body.length]);
});

test('a file of an archive that is no disk of the declared format is rejected', async () => {
  const { source, path, plan, run } = scene();
  const body = tar({ name: 'notes.txt', data: Buffer.from('notes\n'.repeat(9000)) });
  const wanted = await plan({ url: source.add(path(), { body }), digest: sha256(body), diskFormat: 'qcow2' });
  await assert.rejects(run(wanted), { code: 'FormatMismatch' });
});

for (const kind of ['tar.zst', 'zip'] as const) {
  test(`the download of a ${kind} is resumed after breaks inside of it`, async () => {
    const { source, path, plan, run, settled } = scene();
    const body = archives[kind]();
    const faults = [100, 300_000, 900_000].map((byte) => ({ kind: 'resetAt', byte }) as const);
    const wanted = await plan({ url: source.add(path(), { body, faults }), digest: sha256(body) });
    const result = await run(wanted);
    assert.deepEqual([result.resumes, result.bytes], [3, image.length]);
    assert.equal((await settled(wanted)).status, 'active');
  });
}
