import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../../src/commands/config.ts';
import { followTrust, readTrust } from '../../src/commands/trust.ts';
import { createTrust } from '../../src/http/trust.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { makeCertificates } from '../env/certificates.ts';

test('the certificates of the installation follow a mounted ConfigMap, and stay unchanged while it is unusable', async (t) => {
  const { ca, otherCa } = await makeCertificates();
  const directory = await mkdtemp(join(tmpdir(), 'bundle-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'ca.crt');
  let version = 0;
  /** As the kubelet does: it exchanges a link to the directory of a version. */
  const mount = async (text: string) => {
    const name = `..version-${++version}`;
    await mkdir(join(directory, name));
    await writeFile(join(directory, name, 'ca.crt'), text);
    await symlink(name, join(directory, '..next'));
    await rename(join(directory, '..next'), join(directory, '..data'));
  };
  await symlink(join('..data', 'ca.crt'), path);
  const lines: string[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(line) });
  const trust = createTrust();
  const bundle = followTrust(path, { trust, clock: createVirtualClock(), log });

  await bundle?.look();
  await bundle?.look();
  assert.deepEqual(trust.current(), []);
  assert.equal(lines.length, 1, 'a missing file is logged once');
  await mount(`# ours\n${ca}`);
  await bundle?.look();
  const first = trust.current();
  assert.deepEqual(first, [ca]);
  await mount(ca);
  await bundle?.look();
  assert.equal(trust.current(), first, 'an unchanged bundle changes no connection');
  await mount(`${ca}${otherCa}`);
  await bundle?.look();
  assert.deepEqual(trust.current(), [ca, otherCa]);
  for (const text of ['', 'garbage', `${ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`]) {
    await mount(text);
    await bundle?.look();
    assert.deepEqual(trust.current(), [ca, otherCa]);
  }
  assert.match(lines.join(''), /certificate 2 of 2 cannot be read/);
  assert.doesNotMatch(lines.join(''), /BEGIN/);
});

test('without a bundle nothing is followed, and a command rejects an unusable one', async (t) => {
  const log = createLogger('error', { write: () => {} });
  assert.equal(followTrust(undefined, { trust: createTrust(), clock: createVirtualClock(), log }), undefined);
  assert.deepEqual((await readTrust(undefined)).current(), []);
  const directory = await mkdtemp(join(tmpdir(), 'bundle-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'ca.crt');
  await assert.rejects(readTrust(path), (error) => error instanceof UsageError && error.message.includes(path));
  await writeFile(path, 'garbage');
  await assert.rejects(readTrust(path), /--ca-bundle: .* contains no certificate in PEM form/);
  const { ca } = await makeCertificates();
  await writeFile(path, ca);
  assert.deepEqual((await readTrust(path)).current(), [ca]);
});
