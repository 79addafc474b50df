/** qcow2 images that become raw images of a real Glance. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { TransferPlan, TransferProgress } from '../../src/transfer/plan.ts';
import { verificationOf } from '../../src/transfer/verify.ts';
import { digestOf } from '../env/content.ts';
import type { SourceFault, SourceFile } from '../env/source.ts';
import { patience } from '../env/wait.ts';
import { type Cluster, writeQcow2 } from '../source/convert/qcow2.ts';
import type { PlanOptions } from './plans.ts';
import { useScene } from './real.ts';

const scene = useScene();

const kinds: readonly Cluster[] = ['data', 'packed', 'absent', 'zeros'];
const clusters = Array.from({ length: 60 }, (_, index) => kinds[(index * 7) % 4] ?? 'data');
/** The tables and the data lie in the file in an order of their own. */
const { file, disk } = writeQcow2({ clusters, order: [3, 1, 4, 2, 5, 9, 6] });
const sha256 = (data: Buffer) => `sha256:${digestOf(data)}`;
const digest = sha256(file);

const planFor = (served: Partial<SourceFile> = {}, options: PlanOptions = {}) =>
  scene().plan({
    url: scene().source.add(scene().path(), { body: file, ...served }),
    digest,
    convert: 'Raw',
    decompress: 'None',
    ...options,
  });

async function assertDisk({ imageID }: TransferPlan): Promise<void> {
  const { status, os_hash_value: hash } = await scene().project.getImage(imageID);
  assert.deepEqual([status, hash], ['active', digestOf(disk, 'sha512')]);
}

test('a qcow2 image is stored as the disk that it describes, with its size ahead and both digests in the result', async () => {
  const { run, project, glance } = scene();
  const progress: TransferProgress[] = [];
  const wanted = await planFor();
  const result = await run(wanted, { onProgress: (next) => void progress.push(next) });
  const found = await project.getImage(wanted.imageID);
  assert.deepEqual([found.status, found.size, found.disk_format], ['active', disk.length, 'raw']);
  await assertDisk(wanted);
  assert.equal(result.digest, digest);
  assert.equal(result.imageDigest, `sha512:${digestOf(disk, 'sha512')}`);
  assert.equal(result.imageDigest, `sha512:${found.os_hash_value}`);
  assert.deepEqual([result.bytes, result.virtualSize, result.format], [disk.length, disk.length, 'raw']);
  assert.ok(result.servedBytes >= file.length, `${result.servedBytes}`);
  const put = glance.requests.find(({ method, path }) => method === 'PUT' && path.includes(wanted.imageID));
  assert.equal(put?.headers['x-openstack-image-size'], String(disk.length));
  assert.ok(
    progress.some(({ phase, bytes, servedBytes }) => phase === 'transferring' && bytes === 0 && servedBytes > 0),
  );
  assert.ok(progress.every(({ total }) => total === undefined || total === 2 * file.length));
  // The result can be read back.
  const access = { ...scene().access, source: { cloud: scene().access.cloud } };
  const options = { signal: patience(), onProgress: () => {} };
  const again = await scene().executor.run(verificationOf(wanted, sha256(disk)), access, options);
  assert.equal(again.bytes, disk.length);
});

test('a conversion verifies the digest of the disk where that is declared', async () => {
  const right = await planFor({}, { digest: sha256(disk), digestOf: 'Image' });
  assert.equal((await scene().run(right)).digest, sha256(disk));
  const wrong = await planFor({}, { digest, digestOf: 'Image' });
  await assert.rejects(scene().run(wrong), { code: 'DigestMismatch', message: /^converted, http.* does not have/ });
  assert.equal((await scene().settled(wrong)).status, 'queued');
});

test('a file without the declared digest is not converted, and Glance gets no byte of it', async () => {
  const wanted = await planFor({}, { digest: sha256(disk) });
  await assert.rejects(scene().run(wanted), { code: 'DigestMismatch', message: /^as served, http.* does not have/ });
  assert.deepEqual([scene().puts(wanted), (await scene().settled(wanted)).status], [0, 'queued']);
});

test('a file whose server has no ranges, or that is compressed, cannot be converted, and the message says what to do', async () => {
  const whole = await planFor({ ranges: false });
  await assert.rejects(scene().run(whole), {
    code: 'ConversionNeedsRanges',
    message:
      /responds with 200 to a request for a part of a file.*Declare a server that sends parts.*qemu-img convert -O raw/,
  });
  const body = gzipSync(file);
  const packed = await planFor({ body }, { digest: sha256(body) });
  await assert.rejects(scene().run(packed), { code: 'ConversionNeedsRanges', message: /compressed with gzip/ });
  assert.deepEqual([scene().puts(whole), scene().puts(packed)], [0, 0]);
});

test('parts of the file are read from a mirror where the declared server has no ranges', async () => {
  const mirror = scene().source.add(scene().path(), { body: file });
  const wanted = await planFor({ ranges: false }, { mirrors: [{ url: mirror }] });
  await scene().run(wanted);
  await assertDisk(wanted);
});

test('a mirror with another qcow2 file of the same disk is converted where the declared file cannot be', async () => {
  const other = writeQcow2({ clusters, clusterBits: 16, compression: 'zstd' });
  const mirror = scene().source.add(scene().path(), { body: other.file });
  const wanted = await planFor({ ranges: false }, { mirrors: [{ url: mirror, digest: sha256(other.file) }] });
  const result = await scene().run(wanted);
  assert.deepEqual([result.digest, result.url], [sha256(other.file), mirror]);
  await assertDisk(wanted);
});

test('a conversion survives connections that break in both passes', async () => {
  // The first request is the download, the second one asks for one byte.
  const faults: SourceFault[] = [300_000, 900_000, 1_500_000].map((byte) => ({ kind: 'closeAt', byte }));
  const wanted = await planFor({ faults: [{ kind: 'resetAt', byte: 700_000 }, null, ...faults] });
  const result = await scene().run(wanted);
  assert.equal(result.imageDigest, `sha512:${digestOf(disk, 'sha512')}`);
});

test('a file that changes between the passes leaves the image queued', async () => {
  const other = Buffer.from(file);
  other.fill(1, 65_536);
  const changed = { kind: 'instead', file: { body: other } } as const;
  const wanted = await planFor({ faults: [null, null, ...Array.from({ length: 50 }, () => changed)] });
  await assert.rejects(scene().run(wanted), { code: 'SourceChanged' });
  assert.equal((await scene().settled(wanted)).status, 'queued');
});

test('a conversion can be staged, so that the import plugins of the cloud get a raw disk', async () => {
  const wanted = await planFor({}, { method: 'Stage' });
  await scene().run(wanted);
  await assertDisk(wanted);
});
