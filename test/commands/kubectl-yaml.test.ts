/** YAML of manifests, read by the commands and by the real kubectl. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { z } from 'zod';
import { readAsKubectl } from '../../src/commands/kubectl-yaml.ts';

const numbers =
  '0o17 0O17 017 08 00 -0o7 0X1F 0x1F 0_x1F 0o_17 0b11 0B11 0b_1 0b-1 0b+1 -0b1 -0b-1 0b12 0x 0o 0o18 09.5 1e3 1E+3 1e_3 1e5_0 1e-3 .5e3 .5 ' +
  '5. 1_000 1__0 1_ _1 -_1 1.5 1_0.5 ._5 +.5 -.5 +1 -0 +0x1F 1e999 1e21 0.1e-7 1.0 100000000000000000000.0 0x1p3 0x1.8p1 ' +
  '9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775809 18446744073709551616 0xffffffffffffffff 0x1ffffffffffffffff';
const others =
  'y Y n N yes Yes yEs no on off OFF true True tRUE ~ null Null nULL 1:30 190:20:30 2001-01-01 2001-12-14t21:59:43.10-05:00 1.2.3 0.6.2 + . -. e3 ' +
  'Infinity inf nan =';
const plain = [...`${numbers} ${others}`.split(' '), '!!str 12', '!!int "12"', '!!float 12', '"12"', "'0o17'"];

/** Tags, anchors and merge keys. */
const structures = [
  '!!binary aGVsbG8=',
  '!!set { a, b }',
  '!!omap [a: 1, b: 2]',
  '!!pairs [a: 1, a: 2]',
  '!odd text',
  '!odd { a: 1 }',
  '{ a: 1, <<: { a: 2, b: 3 } }',
  '{ <<: { a: 2, b: 3 }, a: 1 }',
  '{ <<: [{ a: 1 }, { a: 2, b: 3 }], c: 4 }',
  '{ c: 4, a: 0, <<: [{ a: 1 }, { a: 2, b: 3 }] }',
  '[&shared { a: 1 }, *shared, { a: 2, <<: *shared }]',
];

test('each text without quotes is read as the real kubectl reads it', () => {
  sameAsKubectl(plain);
});

test('tags, anchors and merge keys are read as the real kubectl reads them', () => {
  sameAsKubectl(structures);
});

test('the value of an anchor that contains itself is a problem of the document', () => {
  for (const text of ['a: &a { b: *a }', '&a [*a]', 'a: &a { b: [{ c: *a }] }']) {
    const [read] = readAsKubectl(text);
    assert.deepEqual(read, { ok: false, problem: 'the value of an anchor contains itself' }, text);
  }
});

function sameAsKubectl(values: readonly string[]) {
  const text = [
    'apiVersion: v1',
    'kind: X',
    'metadata: { name: a }',
    'spec:',
    ...values.map((one, at) => `  k${at}: ${one}`),
  ].join('\n');
  const args = ['label', '--local', '--filename', '-', '--output', 'json', '--kubeconfig', '/dev/null', 'a=b'];
  const { stdout, stderr } = spawnSync('kubectl', args, { input: text, encoding: 'utf8' });
  assert.notEqual(stdout, '', stderr);
  const exact = JSON.parse(stdout, (_key, value: unknown, { source = '' }: { source?: string } = {}) =>
    typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value,
  );
  const [read] = readAsKubectl(text);
  assert.ok(read?.ok);
  const [ours, theirs] = [specOf(read.content), specOf(exact)];
  for (const [at, one] of values.entries()) assert.deepEqual(ours[`k${at}`], theirs[`k${at}`], one);
}

function specOf(object: unknown): Record<string, unknown> {
  return z.looseObject({ spec: z.record(z.string(), z.unknown()) }).parse(object).spec;
}
