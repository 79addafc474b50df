/** The script of the page on operation that lists images without a resource, with stubs for kubectl and openstack. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPage } from './pages.ts';

const uid = '0b5ce1c1-9b0f-4f6a-8a52-3f2b7d1c9e10';
const derived = createHash('sha256').update(uid).digest('hex').slice(0, 32);

const kubectl = `case "$*" in
*kube-system*) printf cluster ;;
*metadata.uid*) echo ${uid} ;;
*identity*) printf '%s\\n' annotated '' ;;
esac
`;

/** Each visible image has an owner mark of its name, but for `unmarked`. */
const openstack = `case "$*" in
*--hidden*) ;;
*list*) printf '%s\\n' annotated ${derived} stranger unmarked ;;
*unmarked*) printf '{\\n  "properties": {\\n    "glance_image_operator_cluster": "cluster"\\n  }\\n}\\n' ;;
*) printf '{\\n  "properties": {\\n    "glance_image_operator_owner": "demo/debian/%s"\\n  }\\n}\\n' "$3" ;;
esac
`;

test('the script for images without a resource lists those without an owner mark too, although a resource has no identity yet', () => {
  const script = readPage('docs/how-to/operate.md').blocks.find(({ text }) => text.includes('identities.txt'))?.text;
  const directory = mkdtempSync(join(tmpdir(), 'orphan-script-'));
  try {
    for (const [name, text] of Object.entries({ kubectl, openstack })) {
      writeFileSync(join(directory, name), `#!/bin/sh\n${text}`);
      chmodSync(join(directory, name), 0o755);
    }
    const listed = execFileSync('sh', ['-c', script ?? assert.fail('there is no such script')], {
      cwd: directory,
      env: { PATH: `${directory}:${process.env['PATH']}` },
      encoding: 'utf8',
    });
    assert.deepEqual(
      listed
        .trimEnd()
        .split('\n')
        .map((line) => line.trimEnd()),
      ['stranger demo/debian/stranger', 'unmarked'],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
