/** The native decoder in one executable: an asset of it, which the system can load only from a file. */
const { mkdtempSync, rmSync, writeFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { getRawAsset } = require('node:sea');

const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-'));
try {
  const file = join(folder, 'decoder.node');
  writeFileSync(file, new Uint8Array(getRawAsset('decoder.node')));
  process.dlopen(module, file);
} finally {
  // It stays loaded.
  rmSync(folder, { recursive: true });
}
