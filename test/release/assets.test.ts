import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { noticeOf, packagesOf } from '../../release/licences.ts';
import { notesOf, verification, versionOf } from '../../release/notes.ts';
import { run } from '../env/processes.ts';

const root = resolve(import.meta.dirname, '../..');
const version = packageJson.version;
const archive = `glance-image-operator-${version}.tgz`;
const library = `glance-image-operator-library-${version}.tgz`;

describe('the files of a release', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-'));
    await run('npm', ['--prefix', root, 'run', '--silent', 'package', '--', folder]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const read = (name: string) => readFile(join(folder, name), 'utf8');

  test('the files of a release are chart, library, manifests, CRD, bill of materials and checksums', async () => {
    const sums = (await read('SHA256SUMS')).trim().split('\n');
    const named = sums.map((line) => line.split('  ')[1] ?? '');
    assert.deepEqual(named, [archive, library, 'install.yaml', 'crds.yaml', 'sbom.spdx.json']);
    assert.deepEqual((await readdir(folder)).sort(), ['SHA256SUMS', ...named].sort());
    await run('sh', ['-c', `cd '${folder}' && sha256sum --check --strict SHA256SUMS`]);
  });

  test('the packaged chart has the files of the checkout and the version of the program', async () => {
    const list = (await run('tar', ['-tzf', join(folder, archive)])).trim().split('\n');
    for (const file of [
      'Chart.yaml',
      'README.md',
      'values.schema.json',
      'files/alerts.yaml',
      'templates/deployment.yaml',
    ])
      assert.ok(list.includes(`glance-image-operator/${file}`), file);
    assert.deepEqual(
      list.filter((file) => /\.ts$|node_modules/.test(file)),
      [],
    );
    const chart = await run('tar', ['-xzOf', join(folder, archive), 'glance-image-operator/Chart.yaml']);
    assert.match(chart, new RegExp(`^version: ${version}$`, 'm'));
    assert.match(chart, new RegExp(`^appVersion: ${version}$`, 'm'));
  });

  test('the library is packaged as npm installs it', async () => {
    const list = (await run('tar', ['-tzf', join(folder, library)])).trim().split('\n');
    for (const file of ['package.json', 'README.md', 'LICENSE', 'glance.js', 'types/library/index.d.ts'])
      assert.ok(list.includes(`package/${file}`), file);
    const manifest: unknown = JSON.parse(await run('tar', ['-xzOf', join(folder, library), 'package/package.json']));
    const { homepage, repository } = z
      .object({
        homepage: z.url(),
        repository: z.object({ type: z.literal('git'), url: z.string(), directory: z.string() }),
      })
      .parse(manifest);
    assert.ok(homepage.startsWith(repository.url.replace(/^git\+/, '').replace(/\.git$/, '')), homepage);
    assert.equal(repository.directory, 'src/library');
  });

  test('the manifests run the image of this version and contain the CRD', async () => {
    const documents = parseAllDocuments(await read('install.yaml')).map((document): unknown => document.toJS());
    const kinds = documents.map((object) => z.looseObject({ kind: z.string() }).parse(object).kind);
    for (const kind of ['Namespace', 'CustomResourceDefinition', 'Deployment']) assert.ok(kinds.includes(kind), kind);
    assert.match(
      await read('install.yaml'),
      new RegExp(`image: "?ghcr.io/glance-image-operator/glance-image-operator:${version}"?$`, 'm'),
    );
    assert.match(await read('crds.yaml'), /^kind: CustomResourceDefinition$/m);
  });

  test('the bill of materials lists the runtime packages with versions, and no test packages', async () => {
    const packages = z.array(z.object({ name: z.string(), versionInfo: z.string() }));
    const bill = z.object({ spdxVersion: z.string(), packages }).parse(JSON.parse(await read('sbom.spdx.json')));
    const found = new Map(bill.packages.map(({ name, versionInfo }) => [name, versionInfo]));
    for (const [name, wanted] of Object.entries(packageJson.dependencies)) assert.equal(found.get(name), wanted, name);
    for (const cpu of ['x64', 'arm64']) assert.ok(found.has(`@napi-rs/lzma-linux-${cpu}-gnu`), cpu);
    assert.deepEqual(
      Object.keys(packageJson.devDependencies).filter((name) => found.has(name) && name !== '@types/node'),
      [],
    );
  });
});

describe('the licences of what is bundled', () => {
  const metafile = {
    inputs: {
      'src/main.ts': {},
      'node_modules/pino/lib/x.js': {},
      'node_modules/@kubernetes/client-node/dist/y.js': {},
    },
    outputs: {
      'dist/a.js': {
        imports: ['node:fs', 'zlib', '@napi-rs/lzma/xz', 'openpgp', 'not-here'].map((path) => ({ path })),
      },
    },
  };

  test('the licences are those of the bundled and separately loaded packages', () => {
    assert.deepEqual(packagesOf(metafile), [
      { folder: 'node_modules/@kubernetes/client-node', isBundled: true },
      { folder: 'node_modules/@napi-rs/lzma', isBundled: false },
      { folder: 'node_modules/openpgp', isBundled: false },
      { folder: 'node_modules/pino', isBundled: true },
    ]);
  });

  test('each licence is listed with its text', () => {
    const notice = noticeOf({ folder: join(root, 'node_modules/pino'), isBundled: true });
    assert.match(notice, /^pino \d+\.\d+\.\d+ \(MIT\)\n/);
    assert.match(notice, /Permission is hereby granted, free of charge/);
  });

  test('the notices of a native library are listed, and name each crate that the library was compiled from', () => {
    const notice = noticeOf({ folder: join(root, 'node_modules/@napi-rs/lzma'), isBundled: false });
    const [file = ''] = globSync('node_modules/@napi-rs/lzma-*/*.node', { cwd: root });
    const library = readFileSync(join(root, file), 'latin1');
    const crates = [...library.matchAll(/registry\/src\/[^/]+\/([a-z0-9_-]+)-\d+\.\d+\.\d+\//g)].map(
      ([, name]) => name,
    );
    assert.ok(crates.length > 0);
    for (const crate of new Set(crates)) assert.match(notice, new RegExp(`\\b${crate} \\d+\\.\\d+\\.\\d+$`, 'm'));
  });

  test('OpenPGP.js is listed with the texts of the LGPL and the GPL, and rejected where it is a part of a program', () => {
    const folder = join(root, 'node_modules/openpgp');
    const notice = noticeOf({ folder, isBundled: false });
    assert.match(notice, /^openpgp \d+\.\d+\.\d+ \(LGPL-3\.0\+\)\n/);
    assert.match(notice, /GNU LESSER GENERAL PUBLIC LICENSE\n/);
    assert.match(notice, /GNU GENERAL PUBLIC LICENSE\n/);
    assert.throws(() => noticeOf({ folder, isBundled: true }), /openpgp is under "LGPL-3\.0\+"/);
  });

  test('a package without the text of its licence, or with notices for another version, fails the build', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'package-'));
    try {
      const write = (name: string) =>
        writeFile(join(folder, 'package.json'), JSON.stringify({ name, version: '9.9.9', license: 'MIT' }));
      await write('p');
      assert.throws(() => noticeOf({ folder, isBundled: true }), /p has no text of its licence/);
      await write('@napi-rs/lzma');
      assert.throws(() => noticeOf({ folder, isBundled: true }), /is not for @napi-rs\/lzma 9\.9\.9/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a package with an unknown licence fails the build', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'package-'));
    try {
      await writeFile(
        join(folder, 'package.json'),
        JSON.stringify({ name: 'p', version: '1.0.0', license: 'AGPL-3.0' }),
      );
      assert.throws(() => noticeOf({ folder, isBundled: true }), /p is under "AGPL-3.0"/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('the notes of a release', () => {
  const changelog = '# Changes\n\n## 2.0.0 (unreleased)\n\n- Not yet.\n\n## 1.0.0 (2026-01-31)\n\n- This.\n- That.\n';

  test('the release notes are the section of the changelog for that version', () => {
    assert.equal(notesOf(changelog, '1.0.0'), '- This.\n- That.');
  });

  test('release notes that are missing or not dated are an error', () => {
    assert.throws(() => notesOf(changelog, '1.0.1'), /no section "## 1.0.1"/);
    assert.throws(() => notesOf(changelog, '2.0.0'), /no date for 2.0.0: its heading is "## 2.0.0 \(unreleased\)"/);
  });

  test('release notes for a tag that differs from the version are an error', () => {
    assert.equal(versionOf(`v${version}`), version);
    for (const tag of ['', version, 'v9.9.9', `v${version}-rc.1`]) assert.throws(() => versionOf(tag), /package\.json/);
  });

  test('release notes contain the commands that verify the published files', () => {
    const subjects = { image: 'ghcr.io/a/b@sha256:1', chart: 'ghcr.io/a/charts/b@sha256:2' };
    const text = verification(`v${version}`, subjects);
    for (const subject of Object.values(subjects)) assert.ok(text.includes(`${subject}`));
    assert.match(text, new RegExp(`/release\\.yaml@refs/tags/v${version}$`, 'm'));
  });

  test('release notes exist for the version of the checkout, dated or not', async () => {
    const text = await readFile(join(root, 'CHANGELOG.md'), 'utf8');
    assert.match(text, new RegExp(`^## ${version} \\((unreleased|\\d{4}-\\d{2}-\\d{2})\\)$`, 'm'));
  });
});
