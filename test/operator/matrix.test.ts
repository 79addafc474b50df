import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { contentOf } from '../env/content.ts';
import { type Source, startSource } from '../env/source.ts';
import { eventually } from '../env/wait.ts';
import { claimPort } from './closed-port.ts';
import { digestOf } from './digest.ts';
import { at, body, healthy, type Row, rows, size } from './matrix.ts';
import { messageOf, reasonOf, World } from './world.ts';

/**
 * Faults of a source from which Glance itself imports. Glance has no resume, no mirror, no stall limit and no
 * decompression; the result is verified afterwards by its digest.
 */
const glanceFails = ['404', '401', `reset at byte ${at(0.5)} every time`, 'wrong format', 'qcow2 with a backing file'];
const glanceIsFooled = ['a cut file with the right headers', 'wrong digest'];
const named = (names: string[]) => names.map((name) => rows.find(({ fault }) => fault === name) ?? assert.fail(name));

describe('every fault of a source, by every method', () => {
  let world: World;
  let web: Source;
  let tls: Source;
  before(async () => {
    const flags = [
      '--transfers',
      '100',
      '--transfers-per-namespace',
      '100',
      '--transfers-per-cloud',
      '100',
      '--transfers-per-host',
      '100',
    ];
    world = await World.create({
      flags: [...flags, '--source-stall-seconds', '3', '--max-virtual-size-gib', '5120', '--workers', '16'],
    });
    web = await startSource({ ports: world.stack.sourcePorts });
    tls = await startSource({ tls: true });
  });
  after(async () => {
    await Promise.all([web?.stop(), tls?.stop()]);
    await world[Symbol.asyncDispose]();
  });

  const nameOf = (method: string, fault: string) =>
    `${method}-${fault}`
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/-$/, '');

  async function apply(method: string, row: Row, source: Source): Promise<string> {
    const name = nameOf(method, row.fault);
    const url = source.add(`/${name}`, row.file);
    const digest = row.digest ?? digestOf(contentOf(row.file.body), 'sha512');
    await world.apply(name, {
      image: { diskFormat: row.diskFormat ?? 'raw', ...row.image },
      content: { http: { url, digest }, method },
    });
    return name;
  }

  /** Glance may still be giving the upload up; it falls back to a record without data, or the record is replaced. */
  async function assertNeverActive({ metadata }: GlanceImage): Promise<void> {
    await eventually(
      async () => {
        const found = (await world.images()).filter(({ name }) => name === metadata.name);
        for (const { status } of found) assert.notEqual(status, 'active');
        return found.every(({ status, size: bytes }) => status === 'queued' && bytes === null);
      },
      () => `${metadata.name} keeps its data`,
    );
  }

  async function settled(name: string): Promise<GlanceImage> {
    const isSettled = (resource: GlanceImage) =>
      reasonOf(resource) === 'Ready' || resource.status.lastError !== undefined;
    return world.until(name, 'at an end', isSettled);
  }

  for (const method of ['Upload', 'Stage']) {
    describe(method, () => {
      const names = new Map<string, string>();
      before(async () => {
        for (const row of rows) names.set(row.fault, await apply(method, row, world.source));
        await apply(method, { fault: 'healthy', file: { body: healthy } }, world.source);
      });

      test('a healthy transfer is done while another one stalls', async () => {
        const ready = await world.ready(nameOf(method, 'healthy'));
        assert.equal(ready.status.image?.size, healthy.size);
        const stalled = await world.get(names.get('no response') ?? '');
        assert.notEqual(reasonOf(stalled ?? assert.fail()), 'Ready');
      });

      for (const row of rows) {
        test(`${row.fault}: ${row.ends?.reason ?? 'Ready'}`, async () => {
          const name = names.get(row.fault) ?? assert.fail();
          if (row.ends === undefined) {
            const { status } = await world.ready(name);
            assert.equal(status.image?.status, 'active');
            assert.equal(status.image.size, size);
            assert.equal(`sha512:${status.image.hash?.value}`, digestOf(body, 'sha512'));
            return;
          }
          const resource = await settled(name);
          assert.equal(resource.status.lastError?.reason, row.ends.reason, resource.status.lastError?.message);
          assert.match(resource.status.lastError?.message ?? '', row.ends.says);
          await assertNeverActive(resource);
        });
      }
    });
  }

  test('a refused connection is retried and reported', async () => {
    const url = `http://127.0.0.1:${await claimPort()}/a.raw`;
    await world.apply('refused', {
      image: { diskFormat: 'raw' },
      content: { http: { url, digest: digestOf(body) } },
    });
    const resource = await settled('refused');
    assert.equal(resource.status.lastError?.reason, 'SourceUnreachable');
    await assertNeverActive(resource);
  });

  test('a redirect loop is reported with its limit', async () => {
    const url = world.source.add('/circle', { body, fault: { kind: 'redirect', to: '/circle' } });
    await world.apply('circle', { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
    const resource = await settled('circle');
    assert.equal(resource.status.lastError?.reason, 'SourceInvalid');
    assert.match(messageOf(resource), /circle/);
  });

  test('a certificate of an unknown authority is reported', async () => {
    const url = tls.add('/untrusted', { body });
    await world.apply('tls', { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
    const resource = await settled('tls');
    assert.equal(resource.status.lastError?.reason, 'SourceUntrusted');
    assert.match(messageOf(resource), /caSecretRef/);
  });

  describe('WebDownload', () => {
    /** Glance may still be cleaning up. */
    const untilNoneActive = async (fault: string) => {
      const ours = async () => (await world.images()).filter(({ name }) => name === nameOf('WebDownload', fault));
      await eventually(
        async () => (await ours()).every(({ status }) => status !== 'active'),
        () => `${nameOf('WebDownload', fault)} stays active`,
      );
    };

    /** A busy Glance may respond with 500 to the deletion of an image whose task has just ended, and the operator repeats it. */
    const untilReported = (name: string, reason: string) =>
      world.until(name, `the report of ${reason}`, ({ status }) => status.lastError?.reason === reason);

    test('a file that Glance fetches becomes ready and visible once it is verified', async () => {
      const name = await apply('WebDownload', { fault: 'none', file: { body } }, web);
      const { status } = await world.ready(name);
      assert.equal(status.content?.imageDigest, digestOf(body, 'sha512'));
      const found = (await world.images()).find(({ id }) => id === status.imageID);
      assert.equal(found?.status, 'active');
      assert.equal(found?.os_hidden, false);
    });

    for (const row of named(glanceFails)) {
      test(`${row.fault}: the status has the message of Glance, and no image stays`, async () => {
        const resource = await untilReported(await apply('WebDownload', row, web), 'ImportFailed');
        assert.match(resource.status.lastError?.message ?? '', /could not import/);
        await untilNoneActive(row.fault);
      });
    }

    for (const row of named(glanceIsFooled)) {
      test(`${row.fault}: a file with another digest is deleted again`, async () => {
        const resource = await untilReported(await apply('WebDownload', row, web), 'DigestMismatch');
        assert.match(
          resource.status.lastError?.message ?? '',
          /Glance imported a file into image [-0-9a-f]+, and it has the digest/,
        );
        await untilNoneActive(row.fault);
      });
    }
  });
});
