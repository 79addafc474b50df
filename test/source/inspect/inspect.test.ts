import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gpt, mbr, qcow2 } from '../../env/images.ts';
import { labels, outcome } from './cases.ts';
import { catalogue } from './catalogue.ts';
import { descriptor, file, hybridIso, iso, le, luks, mib, patched, vdi, vhd, vhdx, vmdk } from './images.ts';
import { inPieces, type Judgement, judge } from './inspect.ts';

const gib = 2 ** 30;
/** Where the last format can recognise the file: the end of the first descriptor of an ISO image. */
const headLength = 34 * 1024;

/** The code of the verdict, or 'ok'. */
const code = (judgement: Judgement): string => (judgement.kind === 'accepted' ? 'ok' : judgement.code);

function refusal(judgement: Judgement) {
  if (judgement.kind === 'refused') return judgement;
  assert.fail('it was accepted');
}

describe('every image of the catalogue has its expected verdict', () => {
  for (const entry of catalogue) {
    test(`${entry.label}: ${entry.name}`, () => {
      for (const diskFormat of labels) {
        const judgement = judge([entry.image], { diskFormat, containerFormat: 'bare' });
        assert.equal(code(judgement), outcome(entry, diskFormat), `declared as ${diskFormat}`);
        if (judgement.kind === 'accepted' && diskFormat === entry.label)
          assert.equal(judgement.virtualSize, entry.virtualSize);
        if (judgement.kind === 'refused')
          assert.match(judgement.message, /^https:\/\/example.com\/image (is|sent) [ -~]+$/);
      }
      const judgement = judge([entry.image], { diskFormat: entry.label });
      if (entry.says !== undefined) assert.match(refusal(judgement).message, entry.says);
    });
  }
});

describe('a rejection', () => {
  test('a rejection says what the file is, and that the declaration or the URL is wrong', () => {
    const says = (diskFormat: string, image: Buffer) => refusal(judge([image], { diskFormat })).message;
    const start = 'https://example.com/image is declared as';
    const help = 'correct the URL or the format';
    assert.equal(says('qcow2', iso()), `${start} qcow2 by image.diskFormat, but it is iso: ${help}`);
    assert.equal(
      says('iso', Buffer.alloc(mib)),
      `${start} iso by image.diskFormat, but it has no signature of that format: ${help}`,
    );
    assert.equal(
      says('raw', qcow2(mib)),
      `${start} raw by image.diskFormat, but it is qcow2, and a server that reads it as raw would find no disk in it: ${help}`,
    );
    assert.equal(says('aki', vdi()), `${start} aki by image.diskFormat, but it is vdi: ${help}`);
    assert.match(says('raw', hybridIso()), /it is a hybrid ISO image, which Glance takes as iso only/);
    assert.match(says('vmdk', gpt()), /it is a raw disk with a partition table/);
  });

  test('a rejection needs a change of the spec, except for an HTML page', () => {
    assert.equal(refusal(judge([qcow2(mib)])).retry, 'change');
    assert.equal(refusal(judge([Buffer.from('<html>')])).retry, 'after');
    assert.equal(refusal(judge([Buffer.from('<html>')], { diskFormat: 'qcow2' })).retry, 'after');
  });

  test('a rejection shows no secret part of the URL', () => {
    const { message } = refusal(judge([qcow2(mib)], { url: 'https://me:pw@example.com/image?token=abc' }));
    assert.match(message, /^https:\/\/example\.com\/image\?… is declared as raw/);
  });
});

describe('a verdict comes as soon as it is certain', () => {
  const at = (image: Buffer, diskFormat: string, rest = {}) =>
    refusal(judge(inPieces(image, 512), { diskFormat, ...rest })).at;

  test('a verdict from the header comes once every format has been checked', () => {
    assert.equal(at(qcow2(gib, { backingFile: 'x' }), 'qcow2'), headLength);
    assert.equal(at(qcow2(gib), 'raw'), headLength);
    assert.equal(at(qcow2(gib), 'qcow2', { maxVirtualBytes: gib - 1 }), headLength);
    assert.equal(at(vhd({ original: 3 * gib }), 'vhd', { minDiskGiB: 2 }), headLength);
    assert.equal(at(vmdk({ text: descriptor('monolithicFlat') }), 'vmdk'), headLength);
    assert.equal(at(vmdk({ footer: (footer) => footer }), 'vmdk', { maxVirtualBytes: mib }), headLength);
    assert.equal(at(vhdx(), 'raw'), headLength);
    assert.equal(at(patched(mbr(), [446, '\x01']), 'raw'), headLength);
  });

  test('a verdict from deeper structures comes at their position', () => {
    const size = 1 * mib + 64 * 1024 + 512;
    assert.equal(at(vhdx({ size: gib }), 'vhdx', { maxVirtualBytes: mib }), size);
    assert.equal(at(vhdx({ hasParent: true }), 'vhdx'), size);
    const long = descriptor('monolithicSparse').padEnd(100_000, '#');
    const text = `${long}\ninclude other\n`;
    assert.equal(at(vmdk({ text, descriptorSectors: 300 }), 'vmdk'), 512 + Math.ceil(text.length / 512) * 512);
  });

  test('a verdict from the end of the file comes at the end', () => {
    const image = vmdk({ footer: (footer) => patched(footer, [12, le(4, 2)]) });
    assert.equal(at(image, 'vmdk'), image.length + 1);
  });
});

describe('a partition table that fails the checks of Glance', () => {
  const failing: [what: string, image: Buffer, isProtective: boolean][] = [
    ['a hybrid MBR', patched(gpt(), [462, '\x80\0\x02\0\x83\0\x02\0']), true],
    ['a protective partition with another CHS', patched(gpt(), [447, '\x01']), true],
    ['no partitions, such as a boot loader on a bare disk', file(mib, [510, '\x55\xaa']), false],
    ['an invalid boot flag', patched(mbr(), [446, '\x01']), false],
  ];
  for (const [what, image, isProtective] of failing)
    test(`an installation can tolerate an MBR with ${what}, as Glance can`, () => {
      const judged = (nonfatal: string[]) => judge([image], { nonfatal });
      assert.equal(code(judged([])), 'UnsafeImage');
      assert.match(refusal(judged([])).message, /--gpt-safety-checks-nonfatal=mbr/);
      assert.equal(code(judged(['mbr'])), 'ok');
      assert.equal(code(judged(['gptmbr'])), isProtective ? 'ok' : 'UnsafeImage');
    });

  test('tolerance of partition tables does not make another format safe', () => {
    const tolerant = { nonfatal: ['mbr', 'gptmbr'], diskFormat: 'qcow2' };
    assert.equal(code(judge([qcow2(gib, { backingFile: 'x' })], tolerant)), 'UnsafeImage');
  });
});

describe('the size of the disk inside', () => {
  const containers: [diskFormat: string, image: (size: number) => Buffer][] = [
    ['qcow2', (size) => qcow2(size)],
    ['vmdk', (size) => vmdk({ capacity: size / 512 })],
    ['vhd', (size) => vhd({ original: size })],
    ['vhd', (size) => vhd({ original: mib, current: size })],
    ['vhdx', (size) => vhdx({ size })],
    ['vdi', (size) => vdi({ size })],
    ['iso', (size) => iso({ blocks: size / 2048 })],
  ];
  for (const [diskFormat, image] of containers) {
    test(`the virtual size is limited and must fit into minDiskGiB: ${diskFormat}`, () => {
      const judged = (options: object) => judge([image(2 * gib)], { diskFormat, ...options });
      assert.equal(code(judged({ maxVirtualBytes: 2 * gib })), 'ok');
      assert.equal(code(judged({ maxVirtualBytes: 2 * gib - 1 })), 'VirtualSizeExceeded');
      assert.equal(code(judged({ minDiskGiB: 0 })), 'ok');
      assert.equal(code(judged({ minDiskGiB: 2 })), 'ok');
      assert.equal(code(judged({ minDiskGiB: 1 })), 'MinDiskTooSmall');
    });
  }

  test('the virtual size may exceed the range of exact integers', () => {
    const image = patched(qcow2(gib), [24, Buffer.alloc(8, 0xff)]);
    const { code, message } = refusal(
      judge([image], { diskFormat: 'qcow2', maxVirtualBytes: Number.MAX_SAFE_INTEGER }),
    );
    assert.equal(code, 'VirtualSizeExceeded');
    assert.match(message, /is a disk of at least 16384Pi, and this operator allows 8Pi: use a smaller image/);
  });

  test('the virtual size of a plain file is its length, and limited while it grows', () => {
    const zeros = Buffer.alloc(mib);
    const disk = (start: Buffer, length: number) => [start, ...Array<Buffer>(length - 1).fill(zeros)];
    for (const start of [zeros, gpt().subarray(0, mib), iso({ length: mib })]) {
      const judged = (options: object) => judge(disk(start, 1025), options);
      const accepted = judged({});
      assert.equal(accepted.kind === 'accepted' && accepted.virtualSize, 1025 * mib);
      const refused = refusal(judged({ maxVirtualBytes: 20 * mib }));
      assert.deepEqual([refused.code, refused.at], ['VirtualSizeExceeded', 21 * mib]);
      // The number to set is known at the end only.
      const small = refusal(judged({ minDiskGiB: 1 }));
      assert.deepEqual([small.code, small.at], ['MinDiskTooSmall', 1025 * mib + 1]);
      assert.equal(code(judged({ minDiskGiB: 2 })), 'ok');
    }
  });

  test('the virtual size of an ISO image is the larger of volume and file', () => {
    const image = [iso({ length: mib }), ...Array<Buffer>(1024).fill(Buffer.alloc(mib))];
    assert.equal(code(judge(image, { diskFormat: 'iso', minDiskGiB: 1 })), 'MinDiskTooSmall');
    assert.equal(code(judge(image, { diskFormat: 'iso', maxVirtualBytes: mib })), 'VirtualSizeExceeded');
  });

  test('the virtual size of a LUKS volume excludes its header', () => {
    const judgement = judge([luks()], { diskFormat: 'luks', maxVirtualBytes: 60 * 1024 });
    assert.equal(judgement.kind === 'accepted' && judgement.virtualSize, 60 * 1024);
    assert.equal(code(judge([luks()], { diskFormat: 'luks', maxVirtualBytes: 60 * 1024 - 1 })), 'VirtualSizeExceeded');
  });

  test('a rejected virtual size names the value to set', () => {
    assert.equal(
      refusal(judge([qcow2(2362232320)], { diskFormat: 'qcow2', minDiskGiB: 2 })).message,
      'https://example.com/image is a disk of 2.2Gi (2362232320 bytes), which does not fit into the 2 GiB that image.minDiskGiB declares: set it to 3',
    );
  });
});

describe('the container', () => {
  const kernel = file(mib, [0, 'MZ'], [446, 'code where a partition table would be'], [510, '\x55\xaa']);

  test('kernel images in ami, ari and aki containers are not taken for an MBR', () => {
    assert.equal(code(judge([kernel], { diskFormat: 'aki' })), 'ok');
    assert.equal(code(judge([kernel], { diskFormat: 'aki', containerFormat: 'bare' })), 'FormatMismatch');
    assert.equal(code(judge([kernel])), 'UnsafeImage');
  });

  test('an image in a container may have another format than declared, but must be safe', () => {
    const ova = { diskFormat: 'vmdk', containerFormat: 'ova', minDiskGiB: 1 };
    const archive = file(2 * mib, [257, 'ustar']);
    assert.deepEqual(judge([archive], ova), { kind: 'accepted', format: 'raw', virtualSize: undefined });
    assert.equal(code(judge([qcow2(gib, { backingFile: 'x' })], ova)), 'UnsafeImage');
    assert.equal(code(judge([Buffer.from('<html>')], ova)), 'FormatMismatch');
    assert.equal(code(judge([kernel], ova)), 'ok');
  });
});

test('a verdict names the recognised format', () => {
  const format = (image: Buffer, diskFormat: string) => {
    const judgement = judge([image], { diskFormat });
    return judgement.kind === 'accepted' ? judgement.format : judgement.code;
  };
  assert.equal(format(qcow2(gib), 'qcow2'), 'qcow2');
  assert.equal(format(mbr(), 'raw'), 'gpt');
  assert.equal(format(iso(), 'raw'), 'iso');
  assert.equal(format(luks(), 'raw'), 'luks');
  assert.equal(format(hybridIso(), 'iso'), 'iso');
  assert.equal(format(Buffer.alloc(10), 'raw'), 'raw');
});
