/** The library as a user gets it: packed, installed in an empty project, type-checked and run there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { z } from 'zod';
import { importsOf, makeLibrary } from '../../release/library.ts';
import * as library from '../../src/library/index.ts';
import { connectStack, type Stack } from '../env/stack.ts';

const root = resolve(import.meta.dirname, '../..');
const tsc = join(root, 'node_modules/.bin/tsc');
const run = promisify(execFile);

let stack: Stack;
let folder: string;
let installed: string;
before(async () => {
  stack = await connectStack();
  folder = await mkdtemp(join(tmpdir(), 'library-'));
  installed = join(folder, 'node_modules/glance-image-operator');
  const made = join(folder, 'package');
  await makeLibrary(made);
  const { stdout } = await run('npm', ['pack', '--silent', made], { cwd: folder });
  await rm(made, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['install', ...quiet, `./${stdout.trim()}`], { cwd: folder });
  await cp(join(root, 'examples/glance'), folder, { recursive: true });
});
after(async () => {
  await rm(folder, { recursive: true });
  await stack.stop();
});

async function declarations(): Promise<string[]> {
  const files = await readdir(join(installed, 'types'), { recursive: true });
  return files.filter((file) => file.endsWith('.d.ts'));
}

test('the readme of the library explains every class of errors that it exports', async () => {
  const readme = await readFile(join(installed, 'README.md'), 'utf8');
  const classes = Object.entries(library).flatMap(([name, value]) =>
    typeof value === 'function' && value.prototype instanceof Error ? [name] : [],
  );
  assert.ok(classes.length > 20);
  for (const name of classes) assert.ok(readme.includes(`\`${name}\``), name);
});

test('the library has its readme and licence, and depends on exactly the packages that its code and its types import', async () => {
  assert.deepEqual((await readdir(installed)).sort(), [
    'LICENSE',
    'README.md',
    'differences-from-cinder.md',
    'glance.js',
    'package.json',
    'types',
  ]);
  const read = (file: string) => readFile(join(installed, file), 'utf8');
  const texts = [await read('glance.js')];
  for (const file of await declarations()) texts.push(await read(join('types', file)));
  const packages = texts.flatMap(importsOf).filter((path) => !path.startsWith('.') && !isBuiltin(path));
  const { dependencies } = z
    .object({ dependencies: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await read('package.json')));
  // Node's own types are those of a package, too.
  assert.deepEqual(Object.keys(dependencies).sort(), [...new Set([...packages, '@types/node'])].sort());
});

test('the readme of the library links to files of its package', async () => {
  const readme = await readFile(join(installed, 'README.md'), 'utf8');
  const links = [...readme.matchAll(/\]\((?!https:)([^)]+)\)/g)].map(([, link = '']) => link);
  assert.ok(links.length > 0);
  for (const link of links) await readFile(join(installed, link));
});

test('the example makes an image of a file on the real Glance and brings it back', async () => {
  const project = await stack.openstack.createProject('library');
  const file = join(folder, 'disk.raw');
  await writeFile(join(folder, 'clouds.yaml'), await project.cloudsYaml());
  await writeFile(file, Buffer.alloc(100_000, 1));
  const args = ['round-trip.ts', 'clouds.yaml', 'demo', file];
  const { stdout, stderr } = await run(process.execPath, args, { cwd: folder });
  assert.equal(stderr, '');
  const [, id = ''] = /^(\S{36}) is active: 100000 bytes, succeeded$/m.exec(stdout) ?? [];
  assert.match(stdout, /^it is called there and back and has {"os_distro":"none"}$/m);
  assert.match(stdout, new RegExp(`^listed: ${id} of \\d{4}-`, 'm'));
  assert.match(stdout, /^brought back: 100000 bytes$/m);
  assert.deepEqual(await project.listImages(), []);
});

test('the example prints the error message of Glance, with code, status and request id', async () => {
  const project = await stack.openstack.createProject('library');
  await project.setLimit('image_count_total', 0);
  await writeFile(join(folder, 'clouds.yaml'), await project.cloudsYaml());
  const file = join(folder, 'small.raw');
  await writeFile(file, 'x');
  const args = ['round-trip.ts', 'clouds.yaml', 'demo', file];
  await assert.rejects(run(process.execPath, args, { cwd: folder }), (error) => {
    assert.ok(error instanceof Error && 'stderr' in error && 'code' in error);
    assert.equal(error.code, 1);
    assert.match(
      String(error.stderr),
      /^Glance returned 413 for the creation .*image_count_total.* \[QuotaExceeded 413 req-/,
    );
    assert.match(String(error.stderr), /request a larger quota/);
    return true;
  });
});

test('the example and the readme are right by the types of the library, which are themselves checked', async () => {
  const readme = await readFile(join(installed, 'README.md'), 'utf8');
  const [, example = ''] = /^```ts\n(.*?)^```$/ms.exec(readme) ?? [];
  assert.match(example, /connectImageService/);
  await writeFile(join(folder, 'readme.ts'), example);
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--types', 'node'];
  const modules = ['--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,esnext.disposable'];
  const check = (...files: string[]) => run(tsc, [...strict, ...modules, ...files], { cwd: folder });
  await check('round-trip.ts', 'readme.ts');
  await writeFile(
    join(folder, 'wrong.ts'),
    `import { connectImageService } from 'glance-image-operator/glance';
    const images = connectImageService({ cloudsYaml: '', cloud: 'demo' });
    await images.create({ nmae: 'x' });`,
  );
  await assert.rejects(check('wrong.ts'), (error) => {
    assert.ok(error instanceof Error && 'stdout' in error);
    assert.match(String(error.stdout), /wrong\.ts.*'nmae' does not exist in type 'ImageFields'/);
    return true;
  });
});
