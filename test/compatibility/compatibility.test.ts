/** The verdict over a combination, and the claims of the chart and the pages, against results that were published. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { cache, root } from '../env/parts.mjs';
import { current } from '../env/releases.mjs';
import { combinations, nameOf, testFiles } from './combinations.ts';
import { appliesTo, type Difference, differences, needsCommand, verdictOf } from './differences.ts';
import { resultsTable, testedReleases } from './page.ts';
import { cachedResult, causeIn, keepResult, publishedResults, type Result } from './result.ts';

const byName = (name: string) => combinations.find((each) => nameOf(each) === name) ?? assert.fail(name);
const listed: Difference = {
  where: { openstackUpTo: '2024.1' },
  what: 'A sentence.',
  consequence: 'listed',
  tests: ['a test'],
};

describe('a combination of releases', () => {
  test('a difference applies to its release and older ones, and to no newer one', () => {
    const names = ['1.37-2024.1', '1.37-zed', '1.30-zed', '1.37-2025.1', '1.37-2026.2', '1.30-2026.2'];
    const applies = names.map((name) => appliesTo(listed, byName(name)));
    assert.deepEqual(applies, [true, true, true, false, false, false]);
    const old: Difference = { ...listed, where: { kubernetesUpTo: '1.32' } };
    const byKubernetes = ['1.30-2026.2', '1.32-2026.2', '1.34-2026.2', '1.37-zed'].map((name) => byName(name));
    assert.deepEqual(
      byKubernetes.map((each) => appliesTo(old, each)),
      [true, true, false, false],
    );
  });

  test('a failure that no difference names is unexplained, and a named test that passes is stale', () => {
    const verdict = (name: string, failed: string[]) => verdictOf(byName(name), failed, [listed]);
    assert.deepEqual(verdict('1.37-2024.1', ['a test', ...needsCommand]), { unexplained: [], stale: [] });
    assert.deepEqual(verdict('1.37-zed', ['a test', 'another']), { unexplained: ['another'], stale: [] });
    assert.deepEqual(verdict('1.37-zed', []), { unexplained: [], stale: ['a test'] });
    assert.deepEqual(verdict('1.37-2025.1', [...needsCommand]), { unexplained: [], stale: [] });
    assert.deepEqual(verdict('1.37-2026.2', ['a test']), { unexplained: ['a test'], stale: [] });
  });

  test('a combination that could not be made, or was never run, is not among the tested releases', () => {
    const base = { ...current, store: 'file' as const, ran: '2026-01-01' };
    const run = { is: 'run' as const, keystone: '1', glance: '1', passed: 1, failed: [] };
    const results: Result[] = [
      { ...base, outcome: run },
      { ...base, openstack: 'zed', outcome: { is: 'not run', error: 'no | such\nfile' } },
    ];
    assert.deepEqual(testedReleases(results), { kubernetes: ['1.37'], openstack: [current.openstack] });
    assert.match(resultsTable(results), /\| Zed \| files \| {2}\| {2}\| not run: no \\\| such file \|/);
    assert.match(resultsTable(results), /\| 1\.30\.14 \| Zed \| files \| {2}\| {2}\| not run \| {2}\|/);
  });
});

test('an interrupted run finds the results that it has, and none of other sources or releases', (t) => {
  const name = `test-${randomUUID()}`;
  t.after(() => rmSync(join(cache, 'compatibility', `${name}.json`), { force: true }));
  const zed = byName('1.37-zed');
  const outcome = { is: 'run' as const, keystone: '1', glance: '1', passed: 1, failed: ['a test'] };
  const result: Result = { ...zed, ran: '2026-01-01', outcome };
  assert.equal(cachedResult(name, zed, 'sources'), undefined);
  keepResult(name, result, 'sources');
  assert.deepEqual(cachedResult(name, zed, 'sources'), result);
  assert.equal(cachedResult(name, zed, 'other sources'), undefined);
  assert.equal(cachedResult(name, { ...zed, kubernetes: '1.37.3' }, 'sources'), undefined);
  assert.equal(cachedResult(name, { ...zed, openstack: '2025.1' }, 'sources'), undefined);
});

test('the cause of a combination that could not be made names files without the folders of the machine', () => {
  const python = join(cache, 'python-2023.1-e5ee.8778.tmp', 'bin', 'python');
  const printed = [
    `setup: Keystone could not be made: ${python} ended with 2`,
    `  File "${join(root, 'test', 'env', 'setup.mjs')}", line 3`,
    `FileNotFoundError: '${join(root, 'test', 'env', 'no.txt')}' is not at https://pypi.example.com/simple/no.txt`,
    'something else',
  ].join('\n');
  assert.equal(
    causeIn(printed),
    `setup: Keystone could not be made: python ended with 2\nFileNotFoundError: 'no.txt' is not at https://pypi.example.com/simple/no.txt`,
  );
});

describe('what the chart and the pages claim', () => {
  const results = publishedResults();

  test('the oldest Kubernetes that the chart accepts was run', () => {
    const text = readFileSync(join(root, 'charts/glance-image-operator/Chart.yaml'), 'utf8');
    const { kubeVersion } = z.object({ kubeVersion: z.string() }).parse(parse(text));
    assert.equal(kubeVersion, `>=${testedReleases(results).kubernetes.at(-1)}.0-0`);
  });

  test('every published result is as the table of differences says', () => {
    for (const result of results)
      if (result.outcome.is === 'run')
        assert.deepEqual(verdictOf(result, result.outcome.failed), { unexplained: [], stale: [] }, nameOf(result));
  });

  test('a published result names no folder of the machine that it was made on', () => {
    for (const { outcome } of results)
      if (outcome.is === 'not run') assert.doesNotMatch(outcome.error, /\.tmp\b|(?<![\w:/])\/\w/);
  });

  test('the test files of a combination exist, and a difference is a sentence', () => {
    for (const file of Object.keys(testFiles)) assert.ok(readFileSync(join(root, file), 'utf8').length > 0);
    for (const { what } of differences) assert.match(what, /^[A-Z].*\.$/);
  });
});
