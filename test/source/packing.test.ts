import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decompresses, type Packing, unpacks } from '../../src/source/packing.ts';

const rows: [what: string, packing: Partial<Packing>, decompresses: boolean, unpacks: boolean][] = [
  ...['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'iso'].map(
    (diskFormat) => [`a ${diskFormat} image`, { diskFormat }, true, true] as [string, object, boolean, boolean],
  ),
  ['an image that is stored as it is', { decompress: 'None' }, false, false],
  ['an image in the container ova, which is an archive', { diskFormat: 'vmdk', containerFormat: 'ova' }, true, false],
  ['an image in the container docker, which is an archive', { containerFormat: 'docker' }, true, false],
  ['an image in the container compressed', { diskFormat: 'qcow2', containerFormat: 'compressed' }, false, false],
  ['a kernel', { diskFormat: 'aki' }, false, false],
  ['a kernel in its own container', { diskFormat: 'aki', containerFormat: 'aki' }, false, false],
  ['an image in a format of the cloud', { diskFormat: 'root-tar' }, true, false],
  ['a declared file of an archive', { member: 'disk.raw' }, true, true],
  ['a kernel in an archive', { diskFormat: 'aki', containerFormat: 'aki', member: 'vmlinuz' }, true, true],
  ['an OVA in an archive', { diskFormat: 'vmdk', containerFormat: 'ova', member: 'appliance.ova' }, true, true],
];

for (const [what, packing, isDecompressed, isUnpacked] of rows) {
  test(`${what} is ${isDecompressed ? '' : 'not '}decompressed and ${isUnpacked ? '' : 'not '}taken out of an archive`, () => {
    const file: Packing = { diskFormat: 'raw', decompress: 'Auto', ...packing };
    assert.deepEqual([decompresses(file), unpacks(file)], [isDecompressed, isUnpacked]);
  });
}
