/** Reading the data of images: all of it, verified, or one error that says why not. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { after, before, type TestContext, test } from 'node:test';
import {
  Conflict,
  GlanceConnectionFailed,
  ImageCorrupted,
  ImageDownloadFailed,
  ImageNotAuthorized,
  ImageNotFound,
} from '../../src/glance/errors.ts';
import type { Image } from '../../src/glance/image.ts';
import { fixedCertificates } from '../../src/library/certificates.ts';
import { createDownloads } from '../../src/library/download.ts';
import type { ServiceImage } from '../../src/library/service-image.ts';
import { ImageSignatureVerificationFailed } from '../../src/library/signature-errors.ts';
import { generated } from '../env/content.ts';
import type { Project } from '../env/project.ts';
import type { ProxiedRequest } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { testTls } from '../env/tls.ts';
import { patience } from '../env/wait.ts';
import { bytesOf, openClient, openService, raw, type TestService, type TestServiceOptions } from '../glance/kit.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('download');
});
after(() => stack.stop());

/** A service of the one project that most tests here share. */
const open = (t: TestContext, options: TestServiceOptions = {}) => openService(t, stack, { project, ...options });

const isDownload = ({ method, path }: ProxiedRequest) => method === 'GET' && path.endsWith('/file');
const direct = {
  fileDirectories: ['/'],
  signatures: 'enabled',
  certificates: fixedCertificates(new Map()),
} as const;
const bytes = generated(3 * 1024 ** 2).slice(0, 3 * 1024 ** 2);

async function filled({ images }: TestService): Promise<ServiceImage> {
  return images.create(raw, { data: bytes });
}

/** A folder of the test's own. */
async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'download-'));
  t.after(() => rm(path, { recursive: true }));
  return path;
}

/** Where the store of the real Glance keeps the data. */
function storedAt({ directUrl = '' }: ServiceImage): string {
  assert.match(directUrl, /^file:\/\/\//);
  return directUrl.slice('file://'.length);
}

test('a download gives the bytes, and says how many and by what they are verified', async (t) => {
  const service = await open(t);
  const image = await filled(service);
  const { size, verifiedBy, body } = await service.images.download(image.id);
  assert.deepEqual([size, verifiedBy], [bytes.length, 'sha512']);
  assert.ok((await bytesOf(body)).equals(bytes));
});

test('a download goes into a sink, which it ends, or into a file', async (t) => {
  const service = await open(t);
  const { id } = await filled(service);
  const sink = new PassThrough();
  const read = bytesOf(sink);
  assert.equal(await service.images.downloadTo(id, sink), bytes.length);
  assert.ok((await read).equals(bytes));
  const path = join(await folder(t), 'image');
  await writeFile(path, 'something else');
  assert.equal(await service.images.downloadToFile(id, path), bytes.length);
  assert.ok((await readFile(path)).equals(bytes));
});

test('a file stays as it is when its download fails before the first byte', async (t) => {
  const service = await open(t);
  const { id } = await service.images.create(raw);
  const path = join(await folder(t), 'image');
  await writeFile(path, 'something else');
  const { images } = service;
  for (const attempt of [
    () => images.downloadToFile('bad', path),
    () => images.downloadToFile(id, path),
    () => images.downloadToFile(id, path, { signal: AbortSignal.abort() }),
  ]) {
    await assert.rejects(attempt);
    assert.equal(await readFile(path, 'utf8'), 'something else');
  }
});

test('an image without data is an ImageDownloadFailed that says so, by every way', async (t) => {
  const { images } = await open(t);
  const { id } = await images.create(raw);
  const path = join(await folder(t), 'image');
  const sink = new PassThrough();
  for (const attempt of [
    () => images.download(id),
    () => images.downloadTo(id, sink),
    () => images.downloadToFile(id, path),
  ]) {
    await assert.rejects(attempt, (error) => {
      assert.ok(error instanceof ImageDownloadFailed);
      assert.equal(error.message, `cannot download image ${id}: the image contains no data`);
      return true;
    });
  }
  assert.ok(sink.destroyed && !existsSync(path));
});

test('data that has changed in the store is an ImageCorrupted before its last bytes, and no file is left', async (t) => {
  const service = await open(t);
  const image = await filled(service);
  const changed = Buffer.from(bytes);
  changed[0] = (changed[0] ?? 0) ^ 1;
  await writeFile(storedAt(image), changed);
  let read = 0;
  const readAll = async () => {
    for await (const chunk of (await service.images.download(image.id)).body) read += chunk.byteLength;
  };
  await assert.rejects(readAll, (error) => {
    assert.ok(error instanceof ImageCorrupted);
    assert.equal(error.code, 'ImageCorrupted');
    assert.match(error.message, new RegExp(`image ${image.id} has the sha512 digest [0-9a-f]{128} instead of`));
    return true;
  });
  assert.ok(read < bytes.length);
  const path = join(await folder(t), 'image');
  await assert.rejects(service.images.downloadToFile(image.id, path), ImageCorrupted);
  assert.ok(!existsSync(path));
});

test('a download that breaks off is an ImageDownloadFailed with its cause, and no file is left', async (t) => {
  const service = await open(t);
  const { id } = await filled(service);
  service.proxy.on({ matches: isDownload, fault: { kind: 'truncate', bytes: 1_000_000 } });
  const path = join(await folder(t), 'image');
  const sink = new PassThrough().resume();
  for (const attempt of [() => service.images.downloadToFile(id, path), () => service.images.downloadTo(id, sink)]) {
    await assert.rejects(attempt, (error) => {
      assert.ok(error instanceof ImageDownloadFailed);
      assert.match(error.message, /^cannot download image .*: its data from http:.* ended early: /);
      assert.ok(error.cause instanceof Error);
      return true;
    });
  }
  assert.ok(sink.destroyed && !existsSync(path));
});

test('503 without retries is a GlanceConnectionFailed that names the endpoint; with one retry it is over', async (t) => {
  const impatient = await open(t, { retries: 0 });
  const { id } = await filled(impatient);
  const unavailable = { matches: isDownload, fault: { kind: 'answer', status: 503, body: 'busy' }, times: 1 } as const;
  impatient.proxy.on(unavailable);
  await assert.rejects(impatient.images.download(id), (error) => {
    assert.ok(error instanceof GlanceConnectionFailed);
    assert.equal(error.httpStatus, 503);
    assert.equal(error.message, `Glance at ${impatient.proxy.url} returned 503 for the download: busy`);
    return true;
  });
  assert.equal(impatient.proxy.requests.filter(isDownload).length, 1);

  const patient = await open(t, { project: impatient.project, retries: 1 });
  patient.proxy.on(unavailable);
  assert.ok((await bytesOf((await patient.images.download(id)).body)).equals(bytes));
  assert.equal(patient.proxy.requests.filter(isDownload).length, 2);
});

test('data that lies in a file is read from there where that is allowed, and verified all the same', async (t) => {
  const service = await open(t, { fileDirectories: ['/'] });
  const image = await filled(service);
  const path = join(await folder(t), 'image');
  assert.equal(await service.images.downloadToFile(image.id, path), bytes.length);
  assert.ok((await readFile(path)).equals(bytes));
  assert.deepEqual(service.proxy.requests.filter(isDownload), []);
  await writeFile(storedAt(image), bytes.subarray(1));
  await assert.rejects(service.images.downloadToFile(image.id, path), ImageCorrupted);
  await rm(storedAt(image));
  await assert.rejects(service.images.downloadToFile(image.id, path), (error) => {
    assert.ok(error instanceof ImageDownloadFailed);
    assert.match(error.message, /its file \/.* could not be read: ENOENT/);
    return true;
  });
  // A stream is what Glance serves.
  const other = await filled(service);
  assert.ok((await bytesOf((await service.images.download(other.id)).body)).equals(bytes));
  assert.equal(service.proxy.requests.filter(isDownload).length, 1);
});

test('where that is not allowed, or the data lies elsewhere, Glance serves it', async (t) => {
  const plain = await open(t);
  const { id } = await filled(plain);
  await plain.images.downloadTo(id, new PassThrough().resume());
  assert.equal(plain.proxy.requests.filter(isDownload).length, 1);

  const { client, proxy } = await openClient(t, stack, { project: plain.project });
  const elsewhere = async (image: string, signal: AbortSignal): Promise<Image> => ({
    ...(await client.get(image, signal)),
    directUrl: 'swift+http://127.0.0.1/container/object',
    locations: [{ url: 'rbd://pool/image', metadata: {} }],
  });
  const downloads = createDownloads({ client, find: elsewhere, ...direct });
  const sink = new PassThrough().resume();
  assert.equal(await downloads.downloadTo(id, sink, patience()), bytes.length);
  assert.equal(proxy.requests.filter(isDownload).length, 1);
});

test('the path of a file is taken as it is written', async (t) => {
  const plain = await open(t);
  const { id } = await filled(plain);
  const path = join(await folder(t), 'a%20b c?d#e');
  await writeFile(path, bytes);
  const { client } = await openClient(t, stack, { project: plain.project });
  const find = async (image: string, signal: AbortSignal): Promise<Image> => {
    const { directUrl, ...rest } = await client.get(image, signal);
    return { ...rest, locations: [{ url: `file://${path}`, metadata: {} }] };
  };
  const downloads = createDownloads({ client, find, ...direct });
  const sink = new PassThrough();
  const read = bytesOf(sink);
  await downloads.downloadTo(id, sink, patience());
  assert.ok((await read).equals(bytes));
});

test('a sink or file that fails is an ImageDownloadFailed with its message', async (t) => {
  const service = await open(t);
  const { id } = await filled(service);
  const full = new Writable({
    write(_chunk, _encoding, done) {
      done(new Error('ENOSPC: no space left on device, write'));
    },
  });
  await assert.rejects(service.images.downloadTo(id, full), (error) => {
    assert.ok(error instanceof ImageDownloadFailed);
    assert.match(error.message, /its data could not be written: ENOSPC: no space left/);
    return true;
  });
  const place = await folder(t);
  await assert.rejects(service.images.downloadToFile(id, place), ImageDownloadFailed);
  assert.ok((await stat(place)).isDirectory());
  await assert.rejects(service.images.downloadToFile(id, '/dev/full'), /ENOSPC/);
  assert.ok(existsSync('/dev/full'));
});

test('an aborted download ends with the reason that was given', async (t) => {
  const service = await open(t);
  const { id } = await filled(service);
  const path = join(await folder(t), 'image');
  const controller = new AbortController();
  const reason = new Error('enough');
  service.proxy.on({
    matches: isDownload,
    fault: { kind: 'afterAnswer', run: () => controller.abort(reason) },
  });
  await assert.rejects(service.images.downloadToFile(id, path, { signal: controller.signal }), reason);
  assert.ok(!existsSync(path));
});

test('the data of a deactivated image is available only to administrators until it is reactivated', async (t) => {
  const service = await open(t);
  const { id } = await filled(service);
  await service.images.deactivate(id);
  assert.equal((await service.images.show(id)).status, 'deactivated');
  await assert.rejects(service.images.download(id), (error) => {
    assert.ok(error instanceof ImageNotAuthorized);
    assert.match(error.message, /deactivated/);
    return true;
  });
  await service.images.reactivate(id);
  assert.ok((await bytesOf((await service.images.download(id)).body)).equals(bytes));
  const queued = await service.images.create(raw);
  await assert.rejects(service.images.deactivate(queued.id), ImageNotAuthorized);
  await assert.rejects(service.images.update(id, {}, { data: bytes }), Conflict);
  await service.images.delete(id);
  await assert.rejects(service.images.download(id), ImageNotFound);
});

test('signed data is verified by its signature too, however it is read, unless that is turned off', async (t) => {
  const service = await open(t);
  const { project } = service;
  const { key, cert } = testTls();
  // Declared afterwards: at the upload Glance itself would look for a key manager.
  const signedImage = async (what: Buffer) => {
    const { id } = await filled(service);
    const properties = {
      img_signature: sign('sha256', what, key).toString('base64'),
      img_signature_hash_method: 'SHA-256',
      img_signature_key_type: 'ECC_SECP384R1',
      img_signature_certificate_uuid: 'of the signer',
    };
    await service.images.update(id, { properties });
    return id;
  };
  const right = await signedImage(bytes);
  const wrong = await signedImage(bytes.subarray(1));
  const certificates = fixedCertificates(new Map([['of the signer', cert]]));
  const path = join(await folder(t), 'image');
  for (const fileDirectories of [[], ['/']]) {
    const { images } = await open(t, { project, certificates, fileDirectories });
    const { signed, body } = await images.download(right);
    assert.ok(signed && (await bytesOf(body)).equals(bytes));
    assert.equal(await images.downloadToFile(right, path), bytes.length);
    await assert.rejects(images.downloadToFile(wrong, path), ImageSignatureVerificationFailed);
    assert.ok(!existsSync(path));
  }
  const { images } = await open(t, { project, signatures: 'disabled' });
  assert.equal(await images.downloadToFile(wrong, path), bytes.length);
  assert.equal((await images.download(wrong)).signed, false);
});
