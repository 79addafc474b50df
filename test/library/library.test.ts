/** The library as others get it: built, installed in a folder of its own, without what it was built from. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { connectStack, type Stack } from '../env/stack.ts';

const root = resolve(import.meta.dirname, '../..');
const bin = (name: string) => join(root, 'node_modules/.bin', name);
const run = promisify(execFile);

let stack: Stack;
let folder: string;
before(async () => {
  stack = await connectStack();
  folder = await mkdtemp(join(tmpdir(), 'library-'));
  await run('npm', ['run', 'build'], { cwd: root });
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, 'glance-image-operator'), { recursive: true });
  for (const part of ['package.json', 'dist']) {
    await cp(join(root, part), join(modules, 'glance-image-operator', part), { recursive: true });
  }
  await cp(join(root, 'examples/glance'), folder, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
});
after(async () => {
  await rm(folder, { recursive: true });
  await stack.stop();
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

test('the example tells a refusal in the words of Glance, with code, status and request id', async () => {
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
      /^Glance answered 413 to the creation .*image_count_total.* \[QuotaExceeded 413 req-/,
    );
    assert.match(String(error.stderr), /ask for a larger quota/);
    return true;
  });
});

test('the example is right by the types that come with the library', async () => {
  // The two packages that the types name are dependencies, and installed with it; Node's own types are the user's.
  for (const name of ['undici', 'zod', '@types']) {
    await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
  const options = [
    '--noEmit',
    '--strict',
    '--exactOptionalPropertyTypes',
    '--module',
    'nodenext',
    '--target',
    'es2024',
  ];
  const lib = ['--lib', 'es2024,esnext.disposable', '--types', 'node', '--allowImportingTsExtensions'];
  await run(bin('tsc'), [...options, ...lib, 'round-trip.ts'], { cwd: folder });
  // They do check something.
  await writeFile(
    join(folder, 'wrong.ts'),
    `import { connectImageService } from 'glance-image-operator/glance';
    const images = connectImageService({ cloudsYaml: '', cloud: 'demo' });
    await images.create({ nmae: 'x' });`,
  );
  await assert.rejects(run(bin('tsc'), [...options, ...lib, 'wrong.ts'], { cwd: folder }), (error) => {
    assert.ok(error instanceof Error && 'stdout' in error);
    assert.match(String(error.stdout), /wrong\.ts.*'nmae' does not exist in type 'ImageFields'/);
    return true;
  });
});
