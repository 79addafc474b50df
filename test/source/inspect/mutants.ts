/** Images with a few bytes changed where formats keep what matters, or with their end cut off. */
import fc from 'fast-check';
import { catalogue } from './catalogue.ts';
import { be, le, patched } from './images.ts';

export interface Mutant {
  /** What it was made of. */
  name: string;
  label: string;
  image: Buffer;
}

/** Where the formats in the catalogue have their headers and tables. */
const places: readonly [from: number, length: number][] = [
  [0, 128],
  [0, 1024],
  [446, 66],
  [512, 600],
  [32 * 1024, 160],
  [192 * 1024, 90],
  [2 ** 20, 100],
  [2 ** 20 + 64 * 1024, 24],
];
/** From the end: footers. */
const lastBytes = 1536;

const value = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom(0, 1, 2, 3, 255, 512, 4096, 2 ** 31, 2 ** 32 - 1)
    .chain((number) => fc.constantFrom(le(4, number), be(4, number))),
  fc
    .constantFrom(0n, 1n, 20n, 2n ** 20n, 2n ** 40n, 2n ** 63n, -1n)
    .chain((number) => fc.constantFrom(le(8, number), be(8, number))),
  fc
    .constantFrom('\x55\xaa', 'KDMV', 'QFI\xfb', 'CD001', '/', '"', '\n', '=', '\0', '\r', '\x1c', ' ', '#')
    .map((text) => Buffer.from(text, 'latin1')),
);
const offset = fc.oneof(
  fc.constantFrom(...places).chain(([from, length]) => fc.nat(length - 1).map((more) => ({ from, more }))),
  fc.nat(lastBytes - 1).map((more) => ({ from: -lastBytes, more })),
);

export const mutants: fc.Arbitrary<Mutant> = fc
  .record({
    // Also of what is spoilt already: two faults may hide each other.
    entry: fc.constantFrom(...catalogue),
    changes: fc.array(fc.tuple(offset, value), { maxLength: 4 }),
    cut: fc.option(fc.nat(2 ** 20 + 2 ** 17), { freq: 8 }),
  })
  .map(({ entry: { name, label, image }, changes, cut }) => {
    const parts = changes.map(
      ([{ from, more }, bytes]) => [Math.max(0, from < 0 ? image.length + from : from) + more, bytes] as const,
    );
    const changed = patched(image, ...parts.filter(([at]) => at < image.length));
    return { name, label, image: cut === null ? changed : changed.subarray(0, Math.max(1, cut % (image.length + 1))) };
  });
