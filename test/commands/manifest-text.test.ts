/** What is written for kubectl and for terminals, with texts that are meant to be read as something else. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { exported } from '../../src/commands/exported.ts';
import { manifestText, resourceName } from '../../src/commands/manifest-text.ts';
import { manifestsIn } from '../../src/commands/manifests.ts';
import { type Output, print } from '../../src/commands/output.ts';
import { imageOf } from '../image/resource.ts';
import { surroundings } from './surroundings.ts';

const texts = [
  ...['0o755', '0O17', '-0o7', '0X1F', '0_x1F', '0B11', '0b_1', '0b-1', '1e_3', '.5e3', '1_000', '1:30', '2001-01-01'],
  ...['<<', '=', '~', 'null', 'y', 'NO', 'on', '.inf', '---', '- a', '# a', 'a: b', '!a', '&a', '*a', '|', '>', ' a '],
  ...[
    '\u001b[31m',
    '\u009b31m',
    '\u007f',
    '\u0085x',
    '\u2028',
    '\u202e',
    '\ufeffx',
    'a\nb',
    'a\r\nb',
    '\ta',
    '\u{e0041}',
  ],
];

test('kubectl and the operator read each text of a manifest as it was', () => {
  const image = { properties: Object.fromEntries(texts.map((text) => [text, text])), tags: texts };
  const spec = { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, image };
  const head = { apiVersion: 'glance-image-operator.dev/v1alpha1', kind: 'GlanceImage', metadata: { name: 'a' } };
  const text = manifestText({ ...head, spec });
  const args = ['label', '--local', '--filename', '-', '--output', 'json', '--kubeconfig', '/dev/null', 'a=b'];
  const { stdout, stderr } = spawnSync('kubectl', args, { input: text, encoding: 'utf8' });
  assert.notEqual(stdout, '', stderr);
  assert.deepEqual(JSON.parse(stdout).spec, spec);
  const [read] = manifestsIn(text.replace(/^ {4}tags:[\s\S]*/m, ''), 'a.yaml', 'team').manifests;
  assert.deepEqual(read?.resource.spec.image.properties, image.properties);
});

test('no form of the output has a control character of a server', () => {
  const text = 'a\u001b]0;b\u0007\u009b31m\u202e\u007f';
  for (const output of ['table', 'json', 'yaml'] satisfies Output[]) {
    const around = surroundings();
    print(output, { [text]: text }, () => `${text}\n`, around);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    assert.doesNotMatch(around.output(), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/, output);
  }
  const coloured = surroundings({ isTTY: true });
  print('table', {}, () => `\u001b[31m${text}\u001b[39m\n`, coloured);
  assert.equal(coloured.output(), '\u001b[31ma ]0;b  31m  \u001b[39m\n');
});

test('the manifests of images never have the same name, and no name is a path', () => {
  const id = 'aaaaaaaa-0000-4000-8000-000000000001';
  const taken = new Set<string>();
  const images = [
    ...['n', 'n-aaaaaaaa', `n-${id}`, 'a/../b', '../../x', '..', 'A_.b'].map((name) => ({ id, name })),
    { id, name: 'n' },
    { id, name: 'N' },
  ];
  for (const image of images) {
    const target = {
      namespace: undefined,
      cloud: { secretRef: { name: 's' }, name: 'c' },
      deletionPolicy: 'Retain',
    } as const;
    const { name } = exported(imageOf(image), undefined, target, taken);
    assert.match(name, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/);
    assert.ok(!taken.has(name), name);
    taken.add(name);
  }
  assert.deepEqual(['a.-b', 'foo_.bar', '-.-'].map(resourceName), ['a.b', 'foo.bar', '']);
});
