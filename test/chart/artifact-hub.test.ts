/** What Artifact Hub and editors show of the chart. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { chart } from '../../charts/helm.ts';
import packageJson from '../../package.json' with { type: 'json' };

const root = resolve(chart, '../..');
const url = z.url();
const definition = z
  .looseObject({
    home: url,
    icon: url,
    sources: z.array(url),
    annotations: z.record(z.string().startsWith('artifacthub.io/'), z.string()),
  })
  .parse(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')));
/** As https://artifacthub.io/docs/topics/annotations/helm lists them. */
const annotations = [
  'category',
  'changes',
  'containsSecurityUpdates',
  'crds',
  'crdsExamples',
  'images',
  'license',
  'links',
  'operator',
  'operatorCapabilities',
];

/** The file of this repository that an address of the main branch shows. */
function fileOf(address: string): string | undefined {
  const [, file] =
    /^https:\/\/(?:raw\.githubusercontent\.com\/[^/]+\/[^/]+\/main|github\.com\/[^/]+\/[^/]+\/blob\/main)\/(.+)$/.exec(
      address,
    ) ?? [];
  return file;
}

describe('the chart on Artifact Hub', () => {
  test('home and sources are those of the package', () => {
    assert.equal(definition.home, packageJson.homepage);
    assert.deepEqual(definition.sources, [packageJson.homepage]);
  });

  test('every annotation exists, and none is missing', () => {
    const names = Object.keys(definition.annotations).map((name) => name.replace('artifacthub.io/', ''));
    assert.deepEqual(names.sort(), annotations);
  });

  test('the icon is an SVG of the repository, without scripts and without other files', () => {
    const file = join(root, fileOf(definition.icon) ?? 'missing');
    const svg = readFileSync(file, 'utf8');
    assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 128 128" role="img"/);
    assert.match(svg, /<title id="title">glance-image-operator<\/title>/);
    assert.doesNotMatch(svg, /<script|<image|href|url\(/);
  });

  test('every link leads to a file that exists', () => {
    const links = z
      .array(z.strictObject({ name: z.string(), url }))
      .parse(parse(definition.annotations['artifacthub.io/links'] ?? ''));
    assert.ok(links.length > 2);
    for (const { url: address } of links) {
      const file = fileOf(address);
      if (file === undefined) assert.equal(address, `${packageJson.homepage}/issues`);
      else assert.ok(existsSync(join(root, file)), address);
    }
  });
});
