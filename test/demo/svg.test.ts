import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { reasons } from '../../src/api/reasons.ts';
import { terminalPicture } from './svg.ts';

const textsOf = (svg: string) =>
  [...svg.matchAll(/<text x="([\d.]+)" y="(\d+)"[^>]*?(?:class="(\w+)")?>([^<]*)<\/text>/g)].map(
    ([, x, y, style, text]) => ({ x, y, style, text }),
  );

describe('the picture of a terminal', () => {
  test('the picture keeps columns, styles and characters that are special in XML', () => {
    const svg = terminalPicture('a', ['\u001b[2m$ get <x> & y\u001b[22m', 'ab  cd']);
    const [, , , get, open] = textsOf(svg);
    assert.deepEqual([get?.text, get?.style], ['&lt;x&gt;', 'dim']);
    assert.equal(open?.text, '&amp;');
    const [ab, cd] = textsOf(svg).slice(-2);
    assert.deepEqual([ab?.text, ab?.y], ['ab', cd?.y]);
    assert.ok(Math.abs(Number(cd?.x) - Number(ab?.x) - 4 * 7.83) < 0.2);
  });

  test('the picture wraps long lines between words', () => {
    const long = Array.from({ length: 40 }, (_, at) => `word${at}`).join(' ');
    const rows = new Set(textsOf(terminalPicture('a', [long])).map(({ y }) => y));
    assert.equal(rows.size, 4);
  });

  test('the picture of the demo shows only reasons that exist', () => {
    const texts = textsOf(readFileSync(join(import.meta.dirname, '../../docs/demo.svg'), 'utf8')).map(
      ({ text }) => text,
    );
    for (const reason of ['DigestMismatch', 'Transferring', 'Ready', 'DriftCorrected']) {
      assert.ok(texts.includes(reason), reason);
      assert.ok(Object.hasOwn(reasons, reason));
    }
  });
});
