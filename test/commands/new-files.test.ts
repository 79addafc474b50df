/** The files of an export: all of them or none. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeFiles } from '../../src/commands/new-files.ts';

const files = ['a', 'b', 'c'].map((name) => ({ name: `${name}.yaml`, text: `${name}\n` }));
const { signal } = new AbortController();

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'files-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test('all files are written into a folder that is created', async (t) => {
  const folder = join(await folderOf(t), 'new', 'one');
  await writeFiles(folder, files, signal);
  assert.deepEqual((await readdir(folder)).sort(), ['a.yaml', 'b.yaml', 'c.yaml']);
  assert.equal(await readFile(join(folder, 'b.yaml'), 'utf8'), 'b\n');
});

test('no file is written or changed where one of them exists', async (t) => {
  const folder = await folderOf(t);
  await writeFile(join(folder, 'c.yaml'), 'mine');
  await assert.rejects(writeFiles(folder, files, signal), /c\.yaml exists: nothing was written/);
  assert.deepEqual(await readdir(folder), ['c.yaml']);
  assert.equal(await readFile(join(folder, 'c.yaml'), 'utf8'), 'mine');
});

test('a file that cannot be written leaves none of the others', async (t) => {
  const folder = await folderOf(t);
  await mkdir(join(folder, 'b.yaml.partial'));
  await assert.rejects(writeFiles(folder, files, signal), /cannot write to .*: file already exists/);
  assert.deepEqual(await readdir(folder), ['b.yaml.partial']);
});

test('an abort between two files leaves none of them', async (t) => {
  const folder = await folderOf(t);
  const controller = new AbortController();
  const reason = new Error('interrupted');
  const [first, second] = files;
  assert.ok(first !== undefined && second !== undefined);
  const aborting = {
    name: second.name,
    get text() {
      controller.abort(reason);
      return second.text;
    },
  };
  await assert.rejects(writeFiles(folder, [first, aborting, ...files.slice(2)], controller.signal), reason);
  assert.deepEqual(await readdir(folder), []);
});
