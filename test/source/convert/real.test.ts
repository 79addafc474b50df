/** Images that qemu-img has made: those in material/, and new ones where it is installed. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { convert } from './converting.ts';

const material = join(import.meta.dirname, 'material');

/** By the name of an image, the digest of the disk that qemu-img converts it to. */
function sumsIn(folder: string): [name: string, digest: string][] {
  const lines = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [digest = '', name = ''] = line.split(/\s+/);
    return [name, digest];
  });
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

for (const [name, digest] of sumsIn(material))
  test(`${name}, as qemu-img makes it, is converted to the same disk as by qemu-img convert`, async () => {
    const file = gunzipSync(readFileSync(join(material, `${name}.gz`)));
    assert.equal(sha256(await convert(file, { chunkBytes: 65_536 })), digest);
  });

const isInstalled = spawnSync('qemu-img', ['--version']).status === 0;

test('images that the installed qemu-img makes are converted to the same disks', { skip: !isInstalled }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-qcow2-'));
  try {
    execFileSync(join(import.meta.dirname, 'make-material.sh'), [folder]);
    const sums = sumsIn(folder);
    assert.deepEqual(new Set(sums.map(([name]) => name)), new Set(sumsIn(material).map(([name]) => name)));
    for (const [name, digest] of sums)
      assert.equal(sha256(await convert(readFileSync(join(folder, name)))), digest, name);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
