/** Images whose digest comes from a list or an index of the publisher, on real servers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { findCondition } from '../../src/api/conditions.ts';
import { apiVersion, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { raw } from '../env/images.ts';
import { digestOf } from './digest.ts';
import { messageOf, World } from './world.ts';

const [first, second, third] = [raw(64 * 1024), raw(128 * 1024), raw(192 * 1024)];
const hexOf = (body: Buffer) => digestOf(body).slice('sha256:'.length);

describe('images of publishers', () => {
  let world: World;
  before(async () => {
    world = await World.create({ flags: ['--source-allow', '127.0.0.0/8,localhost'] });
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  const publish = (folder: string, body: Buffer, list = `${hexOf(body)}  disk.raw\n`) => {
    const url = world.source.add(`/${folder}/disk.raw`, { body });
    return { url, list: world.source.add(`/${folder}/SHA256SUMS`, { body: Buffer.from(list) }) };
  };
  const follows = (folder: string, more: Record<string, unknown> = {}) => ({
    image: { diskFormat: 'raw' },
    content: {
      http: {
        url: `${world.source.url}/${folder}/disk.raw`,
        digestFrom: { checksums: { url: `${world.source.url}/${folder}/SHA256SUMS` } },
      },
      ...more,
    },
  });
  const update = { interval: '24h' };
  const listsRead = (folder: string) => world.source.requests.filter(({ path }) => path === `/${folder}/SHA256SUMS`);
  /** Has the list read again, and waits for the response. */
  const readAgain = async (name: string, folder: string) => {
    const count = listsRead(folder).length;
    await world.annotate(name, reconcileAtAnnotation, `${count}`);
    await world.source.requested(`/${folder}/SHA256SUMS`, count + 1);
  };
  const updating = (name: string, reason: string) =>
    world.until(
      name,
      `Updating with ${reason}`,
      ({ status }) => findCondition(status.conditions, 'Updating')?.reason === reason,
    );

  test('an image follows its publisher, and Ready stays True when a newer file comes and when it fails', async () => {
    publish('follow', first);
    await world.apply('follow', follows('follow', { update }));
    const before = await world.ready('follow');
    assert.equal(before.status.source?.digest, digestOf(first));
    assert.equal(listsRead('follow').length, 1);

    await readAgain('follow', 'follow');
    const [, unchanged] = listsRead('follow');
    assert.ok(unchanged?.headers['if-none-match'] !== undefined, 'the request has a validator');
    await world.until('follow', 'handled', ({ status }) => status.lastHandledReconcileAt === '1');
    assert.deepEqual([unchanged.status, unchanged.sent], [304, 0]);

    publish('follow', second);
    await readAgain('follow', 'follow');
    const after = await world.until(
      'follow',
      'at the second file',
      ({ status }) => status.source?.digest === digestOf(second),
    );
    assert.notEqual(after.status.imageID, before.status.imageID);
    assert.equal(`sha512:${after.status.image?.hash?.value}`, digestOf(second, 'sha512'));

    // A list that names a file which the server does not have.
    publish('follow', second, `${hexOf(third)}  disk.raw\n`);
    await readAgain('follow', 'follow');
    const failed = await updating('follow', 'DigestMismatch');
    assert.equal(failed.status.imageID, after.status.imageID);
    assert.equal(failed.status.source?.digest, digestOf(second));

    publish('follow', second, 'nothing\n');
    await readAgain('follow', 'follow');
    const empty = await updating('follow', 'DigestNotFound');
    const readyAt = ({ status }: typeof empty) => findCondition(status.conditions, 'Ready')?.lastTransitionTime;
    assert.equal(findCondition(empty.status.conditions, 'Ready')?.status, 'True');
    assert.equal(readyAt(empty), readyAt(before), 'Ready was True all the time');
    assert.equal(findCondition(empty.status.conditions, 'Stalled'), undefined);
  });

  /** Takes the status away while the operator does not run. */
  const loseStatus = async (name: string) => {
    const path = `/apis/${apiVersion}/namespaces/${world.namespace}/${plural}/${name}/status`;
    await world.operator.stop();
    const lost = [{ op: 'replace', path: '/status', value: {} }];
    (await world.stack.kubernetes.request('PATCH', path, lost, { contentType: 'application/json-patch+json' })).ok();
    await world.start();
  };

  test('a file is trusted at its first use, stays after the status is lost, and another one is a failure until update is declared', async () => {
    const url = world.source.add('/first/disk.raw', { body: first }).replace('127.0.0.1', 'localhost');
    const downloads = () =>
      world.source.requests.filter(({ path, sent }) => path === '/first/disk.raw' && sent > 0).length;
    const spec = (more: Record<string, unknown> = {}) => ({
      image: { diskFormat: 'raw' },
      content: { http: { url, digestFrom: { firstUse: {} } }, ...more },
    });
    await world.apply('first', spec());
    const before = await world.ready('first');
    const digest = digestOf(first, 'sha512');
    assert.equal(before.status.source?.digest, digest);
    assert.equal(findCondition(before.status.conditions, 'Warning')?.reason, 'FirstUse');
    assert.equal(downloads(), 2);

    world.source.add('/first/disk.raw', { body: second });
    await loseStatus('first');
    const recovered = await world.ready('first');
    assert.equal(recovered.status.imageID, before.status.imageID);
    assert.equal(recovered.status.source?.digest, digest);

    const [image = assert.fail()] = (await world.images()).filter(({ name }) => name === 'first');
    (await world.project.image('DELETE', `/v2/images/${image.id}`)).ok();
    await world.annotate('first', reconcileAtAnnotation, 'deleted');
    const failed = await world.reason('first', 'DigestMismatch');
    assert.match(messageOf(failed), /has changed since its first use, .* declare content\.update/);
    assert.equal(failed.status.source?.digest, digest);

    await world.apply('first', spec({ update }));
    const followed = await world.until(
      'first',
      'at the second file',
      ({ status }) =>
        status.source?.digest === digestOf(second, 'sha512') &&
        findCondition(status.conditions, 'Ready')?.status === 'True',
    );
    assert.equal(`sha512:${followed.status.image?.hash?.value}`, digestOf(second, 'sha512'));
  });

  test('the digest that was found first stays after the status is lost, whatever the list has by then', async () => {
    publish('pinned', first);
    await world.apply('pinned', follows('pinned'));
    const before = await world.ready('pinned');
    publish('pinned', second);
    await loseStatus('pinned');
    const after = await world.ready('pinned');
    assert.equal(after.status.imageID, before.status.imageID);
    assert.equal(after.status.source?.digest, digestOf(first));
    assert.equal((await world.images()).filter(({ name }) => name === 'pinned').length, 1);
  });

  test('a list that is older than its file is read again before the file is blamed', async () => {
    publish('stale', second, `${hexOf(first)}  disk.raw\n`);
    const fresh = Buffer.from(`${hexOf(second)}  disk.raw\n`);
    world.source.add('/stale/SHA256SUMS', {
      body: fresh,
      faults: [{ kind: 'instead', file: { body: Buffer.from(`${hexOf(first)}  disk.raw\n`) } }],
    });
    await world.apply('stale', follows('stale'));
    const { status } = await world.ready('stale');
    assert.equal(status.source?.digest, digestOf(second));
    assert.equal(listsRead('stale').length, 2);
  });

  test('an index and a list that is signed by a key of a Secret or ConfigMap give the image, and a wrong signature does not', async () => {
    const material = (name: string) =>
      readFileSync(join(import.meta.dirname, '../source/openpgp/material', name), 'utf8');
    await world.writeSecret('keys', { release: material('release.key.asc') });
    await world.writeSecret('strangers', { stranger: material('stranger.key.asc') });
    const body = Buffer.from(material('SHA256SUMS'));
    const list = world.source.add('/signed/SHA256SUMS', { body });
    const signatureURL = world.source.add('/signed/SHA256SUMS.gpg', {
      body: readFileSync(join(import.meta.dirname, '../source/openpgp/material/SHA256SUMS.gpg')),
    });
    const url = world.source.add('/signed/', { body: first });
    const signedBy = (keysFrom: Record<string, unknown>) => ({
      image: { diskFormat: 'raw' },
      content: {
        http: { url, digestFrom: { checksums: { url: list, fileName: 'disk-*.qcow2' } } },
        verify: { openPGP: { keysFrom, signatureURL } },
      },
    });
    const signed = (name: string) => signedBy({ secretRef: { name } });
    await world.apply('stranger', signed('strangers'));
    const stranger = await world.reason('stranger', 'SignerNotAllowed');
    assert.match(messageOf(stranger), /is not among the keys of keysFrom/);
    assert.equal(stranger.status.imageID, undefined);

    // The file that the list of the material names does not exist: its signature is good nevertheless.
    await world.apply('signed', signed('keys'));
    const { status } = await world.reason('signed', 'SourceNotFound');
    assert.match(status.source?.signedBy ?? '', /^[0-9A-F]{40}$/);
    assert.equal(status.source?.signedAt, '2024-06-01T12:00:00Z');
    assert.equal(status.source?.url, `${url}disk-20240601.qcow2`);

    const writeKeys = (key: string) =>
      world.stack.kubernetes.apply(
        JSON.stringify({
          ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'keys', namespace: world.namespace } },
          data: { key: material(key) },
        }),
      );
    await world.apply('mapped', signedBy({ configMapRef: { name: 'keys' } }));
    assert.match(messageOf(await world.reason('mapped', 'KeysNotFound')), /there is no ConfigMap "keys"/);
    await writeKeys('release.key.asc');
    await world.annotate('mapped', reconcileAtAnnotation, 'keys');
    const mapped = await world.reason('mapped', 'SourceNotFound');
    assert.equal(mapped.status.source?.signedBy, status.source?.signedBy);
    await writeKeys('stranger.key.asc');
    await world.annotate('mapped', reconcileAtAnnotation, 'other keys');
    await updating('mapped', 'SignerNotAllowed');

    const entry = {
      location: 'index/disk.raw',
      sha256: Buffer.from(hexOf(first), 'hex').toString('base64'),
      version: 7,
    };
    world.source.add('/index/disk.raw', { body: first });
    const index = {
      url: world.source.add('/stable.json', { body: Buffer.from(JSON.stringify({ items: [entry] })) }),
      format: 'JSONPointer',
      entries: '/items',
      where: [{ pointer: '/location', value: '*.raw' }],
      file: '/location',
      digest: '/sha256',
      version: '/version',
    };
    await world.apply('index', { image: { diskFormat: 'raw' }, content: { index } });
    const indexed = await world.ready('index');
    assert.equal(indexed.status.source?.version, '7');
    assert.equal(`sha512:${indexed.status.image?.hash?.value}`, digestOf(first, 'sha512'));
  });
});
