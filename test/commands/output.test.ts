/** What commands print: columns and numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { print, table, widthOf } from '../../src/commands/output.ts';
import { planText } from '../../src/commands/planned-text.ts';
import { surroundings } from './surroundings.ts';

test('the width of a text is the number of columns that a terminal gives it', () => {
  for (const [text, columns] of [
    ['ubuntu', 6],
    ['ubuntu 日本語', 13],
    ['한국', 4],
    ['ＡＢ', 4],
    ['ｶﾅ', 2],
    ['Ünïcode', 7],
    ['e\u0301', 1],
    ['🚀', 2],
    ['👍🏽', 2],
    ['❤\uFE0F', 2],
    ['❤', 1],
    ['🇫🇷', 2],
    ['𠮷', 2],
    ['\u001b[31m日本\u001b[39m', 4],
  ] as const)
    assert.equal(widthOf(text), columns, text);
});

test('the columns of a table are aligned where cells have characters of double width', () => {
  assert.equal(
    table([
      ['NAME', 'SIZE'],
      ['日本', '1'],
      ['🚀', '2'],
      ['abcde', '3'],
    ]),
    'NAME    SIZE\n日本    1\n🚀      2\nabcde   3\n',
  );
});

test('the fields of a plan are aligned where their names have characters of double width', () => {
  const fields = { 'properties.日本': { after: 'a' }, 'properties.x': { after: 'b' } };
  const steps = [{ step: 'create' as const, revision: 0, imageID: 'x', fields }];
  const text = planText(
    [{ namespace: 'a', name: 'b', isApplied: true, steps, end: { state: 'settled' } }],
    (_, one) => one,
  );
  assert.match(text, /^ {6}properties\.日本 {2}"a"\n {6}properties\.x {5}"b"$/m);
});

test('an integer beyond 2^53 is printed with all of its digits', () => {
  const printed = (output: 'json' | 'yaml') => {
    const around = surroundings();
    print(output, { build: 12345678901234567890n }, () => '', around);
    return around.output();
  };
  assert.equal(printed('json'), '{\n  "build": 12345678901234567890\n}\n');
  assert.equal(printed('yaml'), 'build: 12345678901234567890\n');
});
