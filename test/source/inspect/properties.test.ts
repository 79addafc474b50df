import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { inspectGpt } from '../../../src/source/inspect/gpt.ts';
import {
  inspectIso,
  inspectLuks,
  inspectQed,
  inspectVdi,
  inspectVhd,
} from '../../../src/source/inspect/header-formats.ts';
import { inspectQcow2 } from '../../../src/source/inspect/qcow2.ts';
import type { Inspection } from '../../../src/source/inspect/reader.ts';
import { sniff } from '../../../src/source/inspect/sniff.ts';
import { inspectVhdx } from '../../../src/source/inspect/vhdx.ts';
import { inspectVmdk } from '../../../src/source/inspect/vmdk.ts';
import { qcow2 } from '../../env/images.ts';
import { labels } from './cases.ts';
import { be, descriptor, file, patched, vmdk } from './images.ts';
import { type Judgement, judge } from './inspect.ts';
import { mutants } from './mutants.ts';

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 2000 }),
  // After a signature, so that a format reads them.
  fc
    .tuple(
      fc.constantFrom(
        'QFI\xfb\0\0\0\x03',
        'KDMV\x01\0\0\0',
        'vhdxfile',
        'conectix',
        'LUKS\xba\xbe\0\x01',
        'createType="',
      ),
      fc.uint8Array({ minLength: 500, maxLength: 40_000, size: 'max' }),
    )
    .map(([signature, rest]) => Buffer.concat([Buffer.from(signature, 'latin1'), rest])),
);
const images: fc.Arbitrary<{ label: string; image: Uint8Array }> = fc.oneof(
  mutants,
  fc.record({ label: fc.constantFrom(...labels), image: anyBytes }),
);

function* cutInto(image: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  let at = 0;
  for (const length of lengths) {
    yield image.subarray(at, at + length);
    at += length;
  }
  if (at < image.length) yield image.subarray(at);
}

const essence = (judgement: Judgement) =>
  judgement.kind === 'accepted' ? [judgement.format, judgement.virtualSize] : [judgement.code];

describe('the inspection of any bytes', () => {
  test('the inspection has the same verdict for any chunks', () => {
    const lengths = fc.array(
      fc.oneof(fc.nat(3), fc.nat(600), fc.nat(100_000), fc.constantFrom(63, 64, 511, 512, 4096, 32_768, 65_536)),
      { maxLength: 60 },
    );
    const options = fc.record({
      minDiskGiB: fc.constantFrom(0, 0, 1),
      maxVirtualBytes: fc.constantFrom(2 ** 46, 2 ** 46, 40_000, 2 ** 20),
      asDeclared: fc.boolean(),
    });
    fc.assert(
      fc.property(images, lengths, options, ({ label, image }, cuts, { asDeclared, ...limits }) => {
        const all = { diskFormat: asDeclared ? label : 'raw', ...limits };
        assert.deepEqual(essence(judge(cutInto(image, cuts), all)), essence(judge([image], all)));
      }),
      { numRuns: 1500, seed: 20261124 },
    );
  });

  test('the inspection has the same verdict for single bytes', () => {
    const small = fc.oneof(
      anyBytes,
      mutants.filter(({ image }) => image.length < 70_000).map(({ image }) => image),
    );
    fc.assert(
      fc.property(small, fc.constantFrom(...labels), (image, diskFormat) => {
        const bytes = cutInto(image, Array(image.length).fill(1));
        assert.deepEqual(essence(judge(bytes, { diskFormat })), essence(judge([image], { diskFormat })));
      }),
      { numRuns: 40, seed: 20261124 },
    );
  });
});

/** Runs an inspection over an image by hand; returns the longest stretch that it asked for, and the sum of all. */
function asked(inspection: Inspection<unknown>, image: Buffer): { longest: number; sum: number } {
  const seen = { longest: 0, sum: 0 };
  let cursor = 0;
  let answer: { bytes: Buffer; length: number } = { bytes: Buffer.alloc(0), length: 0 };
  for (;;) {
    const step = inspection.next(answer);
    if (step.done) return seen;
    const { value } = step;
    let length = 0;
    if (value.kind === 'bytes') {
      assert.ok(value.offset >= cursor, 'it looked back');
      ({ length } = value);
      cursor = value.offset + length;
      answer = { bytes: image.subarray(value.offset, cursor), length: 0 };
    } else if (value.kind === 'end') {
      length = value.last;
      answer = { bytes: image.subarray(Math.max(cursor, image.length - length)), length: image.length };
    }
    seen.longest = Math.max(seen.longest, length);
    seen.sum += length;
  }
}

describe('an inspection', () => {
  const inspections: Record<string, () => Inspection<unknown>> = {
    gpt: inspectGpt,
    iso: inspectIso,
    luks: inspectLuks,
    preface: sniff,
    qcow2: inspectQcow2,
    qed: inspectQed,
    vdi: inspectVdi,
    vhd: inspectVhd,
    vhdx: inspectVhdx,
    vmdk: inspectVmdk,
  };
  const kib = 1024;

  test('an inspection never seeks back, requests at most 64 KiB at once, and ends', () => {
    const evil = [
      // As many header extensions as fit into the largest cluster.
      patched(qcow2(2 ** 30), [20, be(4, 21)], [100, be(4, 104)], [104, Buffer.alloc(150_000, be(8, 1n << 32n))]),
      vmdk({ text: descriptor('monolithicSparse').padEnd(2 ** 20, '#'), length: 2 ** 21, descriptorSectors: 2048 }),
      Buffer.from('#'.repeat(2 ** 21)),
      file(2 ** 21, [0, 'vhdxfile'], [192 * kib, 'regi'], [192 * kib + 8, Buffer.from([0xff, 7])]),
    ];
    const check = (image: Buffer) => {
      for (const [name, inspect] of Object.entries(inspections)) {
        const { longest, sum } = asked(inspect(), image);
        assert.ok(longest <= 64 * kib, `${name} asked for ${longest} bytes`);
        assert.ok(sum <= (name === 'qcow2' ? 2048 : 1100) * kib, `${name} asked for ${sum} bytes in all`);
      }
    };
    evil.forEach(check);
    fc.assert(
      fc.property(images, ({ image }) => check(Buffer.from(image))),
      { numRuns: 1000, seed: 20261124 },
    );
  });
});
