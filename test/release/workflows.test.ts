import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { accessSync, constants, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { repository } from '../../release/notes.ts';
import { combinations, nameOf } from '../compatibility/combinations.ts';
import { commandsOf, readWorkflows, stepsOf } from './workflow.ts';

const root = resolve(import.meta.dirname, '../..');
const workflows = readWorkflows();
const release = workflows.find(({ file }) => file === 'release.yaml');
assert.ok(release !== undefined);

/** What a job may write, and why it must. */
const mayWrite: Record<string, readonly string[]> = {
  'ci.yaml test': [],
  'ci.yaml image': [],
  'compatibility.yaml run': [],
  'release.yaml verify': [],
  'release.yaml package': [],
  'release.yaml executable': [],
  'release.yaml image': ['packages', 'id-token', 'attestations'],
  'release.yaml chart': ['packages', 'id-token', 'attestations'],
  'release.yaml publish': ['contents', 'id-token', 'attestations'],
  'site.yaml build': [],
  'site.yaml publish': ['contents'],
};

/** The environment of the jobs that write something: a release waits for a reviewer, and the pages of the main branch do not. */
const environments: Record<string, string> = { 'release.yaml': 'release', 'site.yaml': 'pages' };

for (const workflow of workflows) {
  describe(`the workflow ${workflow.file}`, () => {
    const { jobs, text } = workflow;

    test('every action is pinned by a commit digest and names its version', () => {
      const uses = text.split('\n').filter((line) => /^\s*(- )?uses:/.test(line));
      assert.equal(uses.length, stepsOf(workflow).filter((step) => 'uses' in step).length);
      for (const line of uses) assert.match(line, /uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    });

    test('a shell step contains only text of the workflow', () => {
      for (const command of commandsOf(workflow)) assert.ok(!command.includes('${{'), command);
    });

    test('bash parses every shell step without an error', () => {
      for (const command of commandsOf(workflow)) execFileSync('bash', ['-n'], { input: command });
    });

    test('every npm script in a step exists', () => {
      const names = commandsOf(workflow).flatMap((command) => [...command.matchAll(/npm run (?:--silent )?(\S+)/g)]);
      for (const [, name = ''] of names) assert.ok(Object.hasOwn(packageJson.scripts, name), `npm run ${name}`);
      const files = commandsOf(workflow).filter((command) => command.startsWith('.'));
      for (const file of files) accessSync(join(root, file), constants.X_OK);
    });

    test('each job has minimal permissions and a timeout', () => {
      for (const [name, job] of Object.entries(jobs)) {
        const written = Object.entries(job.permissions).filter(([, right]) => right === 'write');
        const rights = written.map(([scope]) => scope);
        assert.deepEqual(rights, mayWrite[`${workflow.file} ${name}`], name);
        assert.equal(job.environment, rights.length > 0 ? environments[workflow.file] : undefined, name);
        assert.ok(job['timeout-minutes'] <= 60);
      }
    });

    test('no checkout step leaves credentials behind', () => {
      for (const step of stepsOf(workflow)) {
        if ('uses' in step && step.uses.startsWith('actions/checkout@'))
          assert.equal(step.with['persist-credentials'], false);
      }
    });
  });
}

test('the weekly run covers every combination of releases', () => {
  const { jobs, on } = workflows.find(({ file }) => file === 'compatibility.yaml') ?? assert.fail();
  assert.deepEqual(jobs['run']?.strategy?.matrix.combination, combinations.map(nameOf));
  assert.ok(Object.hasOwn(on, 'schedule'));
});

describe('the release', () => {
  test('the release restores nothing from a cache that another run could have filled', () => {
    for (const step of stepsOf(release)) {
      if (!('uses' in step)) continue;
      assert.doesNotMatch(step.uses, /^actions\/cache/);
      if (step.uses.startsWith('actions/setup-go@')) assert.equal(step.with['cache'], false);
      if (step.uses.startsWith('actions/setup-node@')) assert.equal(step.with['package-manager-cache'], false);
      assert.equal(step.with['cache-from'], undefined);
    }
  });

  test('the release publishes nothing before all tests have passed', () => {
    const needs = (job: string): string[] => [release.jobs[job]?.needs ?? []].flat();
    assert.deepEqual(needs('package'), ['verify']);
    assert.deepEqual(needs('image'), ['package']);
    assert.deepEqual(needs('chart'), ['image']);
    assert.deepEqual(needs('executable'), ['verify']);
    assert.deepEqual(needs('publish'), ['image', 'chart', 'executable']);
    assert.ok(release.jobs['verify']?.steps.some((step) => 'run' in step && step.run === '.ci/run'));
  });

  test('the release packages its files from a fresh checkout, without a program of the tests', () => {
    const steps = (job: string) => release.jobs[job]?.steps ?? [];
    const actions = (job: string) =>
      steps(job).flatMap((step) => ('uses' in step ? (step.uses.split('@')[0] ?? '') : []));
    const producers = Object.keys(release.jobs).filter((job) => actions(job).includes('actions/upload-artifact'));
    assert.deepEqual(producers, ['package', 'executable']);
    assert.deepEqual(
      steps('package').flatMap((step) => ('run' in step ? step.run : [])),
      ['npm ci --ignore-scripts', 'npm run package -- assets'],
    );
    const prepared = ['actions/checkout', 'actions/setup-node', 'azure/setup-helm', 'actions/upload-artifact'];
    assert.deepEqual(actions('package'), prepared);
  });

  test('the release builds the executables on four platforms, with the Node of the tests and without install scripts', () => {
    const { strategy, steps = [] } = release.jobs['executable'] ?? {};
    assert.deepEqual(strategy?.matrix.runner, ['ubuntu-24.04', 'ubuntu-24.04-arm', 'macos-15-intel', 'macos-15']);
    const versions = steps.flatMap((step) => ('uses' in step ? (step.with['node-version'] ?? []) : []));
    assert.deepEqual(versions, [packageJson.devDependencies.node]);
    assert.deepEqual(
      steps.flatMap((step) => ('run' in step ? step.run : [])),
      [
        'npm ci --ignore-scripts',
        'node release/executable/executable.ts --archive executables/program',
        'executables/program/kubectl-glanceimage version',
      ],
    );
    accessSync(join(root, 'release/executable/executable.ts'));
  });

  test('every package of Python is pinned by hashes, and pip installs no other file', () => {
    const files = globSync('{test,release,docs,bench,charts}/**/*requirements*.txt', { cwd: root });
    assert.ok(files.length >= 10, files.join());
    for (const file of files) {
      const lines = readFileSync(join(root, file), 'utf8').replaceAll('\\\n', ' ').split('\n');
      for (const line of lines.filter((each) => /^[^#\s]/.test(each)))
        assert.match(line, /^[\w.-]+==[\w.]+ ( *--hash=sha256:[0-9a-f]{64})+$/, file);
    }
    const setup = ['setup.mjs', 'setup-current.mjs', 'setup-compatibility.mjs']
      .map((file) => readFileSync(join(root, 'test/env', file), 'utf8'))
      .join('\n');
    const installs = [...setup.matchAll(/\[\.\.\.pip, (?!'check')([^\]]*)\]/g)].map(([, options = '']) => options);
    assert.equal(installs.length, 4);
    for (const options of installs) assert.match(options, /^\.\.\.installPinned,/);
    assert.match(setup, /const installPinned = \['install', '--require-hashes'\]/);
    assert.equal(setup.match(/'pip'/g)?.length, 1);
  });

  test('the site publishes only what a job without rights has built, and runs no install script where it may write', () => {
    const site = workflows.find(({ file }) => file === 'site.yaml');
    assert.ok(site !== undefined);
    const runs = (job: string) => (site.jobs[job]?.steps ?? []).flatMap((step) => ('run' in step ? step.run : []));
    assert.deepEqual(runs('build'), ['npm run site -- --version "$VERSION"']);
    assert.equal(site.jobs['publish']?.needs, 'build');
    assert.equal(runs('publish')[0], 'npm ci --ignore-scripts');
    assert.doesNotMatch(runs('publish').join('\n'), /npm (?:run|test|install)/);
  });

  test('no lock file names the host of a registry, and each names the hash of every package', () => {
    const files = globSync('{.,release/site}/package-lock.json', { cwd: root });
    assert.equal(files.length, 2);
    const packages = z.record(
      z.string(),
      z.looseObject({ integrity: z.string().optional(), link: z.boolean().optional() }),
    );
    for (const file of files) {
      const text = readFileSync(join(root, file), 'utf8');
      assert.doesNotMatch(text, /"resolved"/, file);
      const lock = z.looseObject({ packages }).parse(JSON.parse(text));
      for (const [name, { integrity }] of Object.entries(lock.packages))
        if (name !== '') assert.match(integrity ?? '', /^sha512-/, `${file}: ${name}`);
    }
  });

  test('the release builds the image named in the chart, for both platforms', () => {
    const values = z
      .looseObject({ image: z.looseObject({ registry: z.string(), repository: z.string() }) })
      .parse(parse(readFileSync(join(root, 'charts/glance-image-operator/values.yaml'), 'utf8')));
    assert.equal(release.env['IMAGE'], `${values.image.registry}/${values.image.repository}`);
    const build = stepsOf(release).find((step) => 'uses' in step && step.uses.startsWith('docker/build-push-action@'));
    assert.ok(build !== undefined && 'uses' in build);
    assert.equal(build.with['platforms'], 'linux/amd64,linux/arm64');
    const built = workflows.flatMap(stepsOf).filter((step) => 'uses' in step && step.uses.startsWith('docker/build-'));
    assert.equal(built.length, 3);
  });

  test('the release has the identity that the verification commands name', () => {
    assert.ok(release.env['IMAGE']?.endsWith(`/${repository}`));
    assert.equal(release.file, 'release.yaml');
    assert.deepEqual(release.on, { push: { tags: ['v*'] } });
  });

  test('the release signs and attests the published artifacts by digest', () => {
    const signed = commandsOf(release).filter((command) => command.startsWith('cosign sign'));
    assert.equal(signed.length, 2);
    for (const command of signed) assert.match(command, /@\$DIGEST"$/);
    for (const name of ['image', 'chart', 'publish']) {
      const steps = release.jobs[name]?.steps ?? [];
      assert.ok(
        steps.some((step) => 'uses' in step && step.uses.startsWith('actions/attest@')),
        name,
      );
    }
  });
});
