/**
 * kubeconform itself, on the examples and on what the chart renders: with the schema of GlanceImage that the page names, and
 * with the schemas of the API server of these tests in place of those that kubeconform would download.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { goldens } from '../chart/goldens.ts';
import { readPage } from '../docs/pages.ts';
import { folders, root } from '../env/parts.mjs';
import { connectStack, type Stack } from '../env/stack.ts';

type Schema = { [key: string]: unknown };
const schema: z.ZodType<Schema> = z.record(z.string(), z.unknown());
const kinds = z.array(z.object({ group: z.string(), kind: z.string(), version: z.string() }));

/** As `kubeconform -strict` expects it: an object with named fields has no others. A number or a text may be either. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  const object = schema.safeParse(value).data;
  if (object === undefined) return value;
  if (object['format'] === 'int-or-string') return { oneOf: [{ type: 'string' }, { type: 'integer' }] };
  const changed = Object.fromEntries(Object.entries(object).map(([key, each]) => [key, strict(each)]));
  const named = schema.safeParse(object['properties']).success && object['type'] === 'object';
  return named && !('additionalProperties' in object) ? { ...changed, additionalProperties: false } : changed;
}

/** Writes a file for each kind of the API server into `folder`, with the names that kubeconform makes. */
async function writeSchemas(openAPI: unknown, folder: string): Promise<void> {
  const definitions = schema.parse(strict(z.looseObject({ definitions: schema }).parse(openAPI).definitions));
  await writeFile(join(folder, 'all.json'), JSON.stringify({ definitions }));
  for (const [name, definition] of Object.entries(definitions))
    for (const { group, kind, version } of kinds.safeParse(schema.parse(definition)['x-kubernetes-group-version-kind'])
      .data ?? []) {
      const suffix = group === '' ? version : `${group.split('.')[0]}-${version}`;
      const text = JSON.stringify({ $ref: `all.json#/definitions/${name}` });
      await writeFile(join(folder, `${kind.toLowerCase()}-${suffix}.json`.toLowerCase()), text);
    }
}

const report = z.object({
  resources: z.array(z.looseObject({ kind: z.string(), name: z.string(), status: z.string(), msg: z.string() })),
});

describe('kubeconform', () => {
  let stack: Stack;
  let folder: string;
  before(async () => {
    stack = await connectStack();
    folder = await mkdtemp(join(tmpdir(), 'kubeconform-'));
    await writeSchemas((await stack.kubernetes.request('GET', '/openapi/v2')).ok().json, folder);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** The flags of the page, with the folder of this checkout in place of its address. */
  function flagsOfPage(): string[] {
    const page = readPage('docs/how-to/editors.md');
    const command = page.blocks.find(({ text }) => text.startsWith('kubeconform '))?.text ?? '';
    const [, location = ''] = /-schema-location 'https:\/\/raw[^']*?\/main\/([^']+)'/.exec(command) ?? [];
    assert.ok(command.startsWith('kubeconform -strict -schema-location default'));
    return [
      '-strict',
      '-schema-location',
      join(folder, '{{.ResourceKind}}{{.KindSuffix}}.json'),
      '-schema-location',
      join(root, location),
    ];
  }

  function check(text: string, more: readonly string[] = []) {
    const args = [...flagsOfPage(), ...more, '-output', 'json', '-verbose', '-'];
    const { stdout, stderr } = spawnSync(join(folders.kubeconform, 'kubeconform'), args, {
      input: text,
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    return report.parse(JSON.parse(stdout)).resources;
  }
  const failed = (text: string) => check(text).filter(({ status }) => status !== 'statusValid');

  test('kubeconform accepts every example', () => {
    const files = globSync('examples/images/*.yaml', { cwd: root });
    assert.ok(files.length >= 5);
    for (const file of files) assert.deepEqual(failed(readFileSync(join(root, file), 'utf8')), [], file);
  });

  for (const golden of goldens)
    test(`kubeconform accepts what the chart renders with the values "${golden.name}"`, async () => {
      // The kinds of the Prometheus operator are not on this API server.
      const skip = ['-skip', 'ServiceMonitor,PodMonitor,PrometheusRule'];
      const found = check(await golden.rendered(), skip);
      assert.deepEqual(
        found.filter(({ status }) => !['statusValid', 'statusSkipped'].includes(status)),
        [],
      );
      assert.ok(found.filter(({ status }) => status === 'statusValid').length >= 3);
    });

  const example = readFileSync(join(root, 'examples/images/cloud-image.yaml'), 'utf8');
  const mistakes: [string, string, string, RegExp][] = [
    ['an unknown field', 'diskFormat:', 'diskFromat:', /diskFromat/],
    ['a wrong value', '    diskFormat:', '    visibility: open\n    diskFormat:', /visibility/],
    [
      'an unknown version',
      'glance-image-operator.dev/v1alpha1',
      'glance-image-operator.dev/v1',
      /could not find schema/,
    ],
  ];
  for (const [mistake, from, to, message] of mistakes)
    test(`kubeconform rejects ${mistake} of a GlanceImage`, () => {
      assert.ok(example.includes(from));
      assert.match(
        failed(example.replace(from, to))
          ?.map(({ msg }) => msg)
          .join() ?? '',
        message,
      );
    });

  test('kubeconform rejects an unknown field of a Deployment, so the schemas of the API server are strict', () => {
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a' }, spec: { replica: 1 } };
    assert.match(
      failed(JSON.stringify(deployment))
        ?.map(({ msg }) => msg)
        .join() ?? '',
      /replica/,
    );
  });
});
