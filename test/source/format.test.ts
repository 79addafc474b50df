import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OperatorError } from '../../src/lib/errors.ts';
import { createFormatCheck, headBytes } from '../../src/source/format.ts';

const url = 'https://example.com/image';

/** `length` bytes of zero with `parts` written at their offsets. */
function file(length: number, ...parts: [offset: number, bytes: string][]): Buffer {
  const data = Buffer.alloc(length);
  for (const [offset, bytes] of parts) data.write(bytes, offset, 'latin1');
  return data;
}

const files = {
  zeros: file(64_000),
  mbr: file(64_000, [0, '\xeb\x63\x90'], [510, '\x55\xaa']),
  qcow2: file(64_000, [0, 'QFI\xfb\0\0\0\x03']),
  qed: file(64_000, [0, 'QED\0']),
  vmdk: file(64_000, [0, 'KDMV']),
  vmdkDescriptor: file(700, [0, '# Disk DescriptorFile\nversion=1\n']),
  vhd: file(64_000, [0, 'conectix']),
  vhdx: file(64_000, [0, 'vhdxfile']),
  vdi: file(64_000, [0, '<<< Oracle VM VirtualBox Disk Image >>>\n'], [0x40, '\x7f\x10\xda\xbe']),
  iso: file(64_000, [32_768, '\x01CD001\x01']),
  hybridIso: file(64_000, [0, '\x45\x52'], [510, '\x55\xaa'], [32_768, '\x01CD001\x01']),
  luks: file(64_000, [0, 'LUKS\xba\xbe\0\x01']),
  gzip: file(64_000, [0, '\x1f\x8b\x08']),
  xz: file(64_000, [0, '\xfd7zXZ\0']),
  zstd: file(64_000, [0, '\x28\xb5\x2f\xfd']),
  bzip2: file(64_000, [0, 'BZh9']),
  shortQcow2: file(100, [0, 'QFI\xfb\0\0\0\x03']),
  backedQcow2: file(64_000, [0, 'QFI\xfb\0\0\0\x03'], [15, '\x68']),
  dataFileQcow2: file(64_000, [0, 'QFI\xfb\0\0\0\x03'], [79, '\x04']),
  dirtyQcow2: file(64_000, [0, 'QFI\xfb\0\0\0\x03'], [79, '\x01']),
  html: Buffer.from('\ufeff\n <!DOCTYPE html><html><body>Sign in</body></html>'),
  bareHtml: Buffer.from('<HTML><head>'),
  xml: Buffer.from('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
  json: Buffer.from('{"error": "not found"}'),
  braceDisk: file(64_000, [0, '{"']),
  tiny: Buffer.from('x'),
};
type FileName = keyof typeof files;

/** The code of the verdict, or 'ok'. */
function verdict(diskFormat: string, chunks: Uint8Array[]): string {
  const check = createFormatCheck(diskFormat, url);
  try {
    for (const chunk of chunks) check.update(chunk);
    check.finish();
    return 'ok';
  } catch (error) {
    assert(error instanceof OperatorError);
    return error.code;
  }
}

const fits: Record<string, FileName[]> = {
  raw: ['zeros', 'mbr', 'iso', 'hybridIso', 'luks', 'tiny', 'braceDisk'],
  qcow2: ['qcow2', 'dirtyQcow2'],
  vmdk: ['vmdk'],
  vhd: ['vhd', 'zeros', 'mbr', 'tiny', 'braceDisk'],
  vhdx: ['vhdx'],
  vdi: ['vdi'],
  iso: ['iso', 'hybridIso'],
  ari: ['zeros', 'mbr', 'gzip', 'xz', 'zstd', 'bzip2', 'tiny', 'braceDisk'],
};
const unsafe: Record<string, FileName[]> = { qcow2: ['backedQcow2', 'dataFileQcow2'] };

function isFileName(name: string): name is FileName {
  return Object.hasOwn(files, name);
}
const names = Object.keys(files).filter(isFileName);

function expectedVerdict(diskFormat: string, name: FileName): string {
  if (fits[diskFormat]?.includes(name)) return 'ok';
  return unsafe[diskFormat]?.includes(name) ? 'UnsafeImage' : 'FormatMismatch';
}

describe('the format check', () => {
  for (const diskFormat of Object.keys(fits))
    for (const name of names) {
      const expected = expectedVerdict(diskFormat, name);
      test(`${name} declared as ${diskFormat}: ${expected}`, () => {
        assert.equal(verdict(diskFormat, [files[name]]), expected);
      });
    }

  test('comes to the same verdict however the bytes are cut into chunks', () => {
    const cuts = fc.array(fc.oneof(fc.nat(600), fc.nat(40_000), fc.constantFrom(1, headBytes, headBytes - 1)));
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(fits)),
        fc.constantFrom(...names),
        cuts,
        (diskFormat, name, lengths) => {
          const chunks: Uint8Array[] = [];
          let rest: Uint8Array = files[name];
          for (const length of lengths) {
            chunks.push(rest.subarray(0, length));
            rest = rest.subarray(length);
          }
          assert.equal(verdict(diskFormat, [...chunks, rest]), expectedVerdict(diskFormat, name));
        },
      ),
    );
  });

  test('decides as soon as the head is complete', () => {
    const check = createFormatCheck('qcow2', url);
    assert.throws(() => check.update(files.zeros), OperatorError);
  });

  test('says what came instead, and waits for the server where the server is at fault', () => {
    const messageOf = (diskFormat: string, name: FileName): OperatorError => {
      const check = createFormatCheck(diskFormat, url);
      try {
        check.update(files[name]);
        check.finish();
      } catch (error) {
        if (error instanceof OperatorError) return error;
      }
      assert.fail('accepted');
    };
    assert.match(messageOf('raw', 'html').message, /an HTML page instead of an image/);
    assert.equal(messageOf('raw', 'html').retry.kind, 'after');
    assert.match(messageOf('qcow2', 'xz').message, /is not qcow2, .* a file compressed with xz/);
    assert.equal(messageOf('qcow2', 'xz').retry.kind, 'change');
    assert.match(messageOf('raw', 'qcow2').message, /is not raw, .* but qcow2/);
    assert.match(messageOf('qcow2', 'backedQcow2').message, /backing file/);
  });
});
