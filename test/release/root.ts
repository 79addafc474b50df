/**
 * The root file system of the image, made without a container engine: the files copied by the last stage of the
 * Dockerfile, from a build of exactly the files that .dockerignore includes, on top of its base.
 *
 * Invariant: the Dockerfile defines the content; only the C libraries of the base are added from this machine.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { run } from '../env/processes.ts';
import { parseDockerfile, type Stage } from './dockerfile.ts';

export interface ImageRoot {
  readonly directory: string;
  /** The last stage, whose ENTRYPOINT, ENV and USER are those of the image. */
  readonly stage: Stage;
  /**
   * The content that may not change: by path, the attributes that a change would alter. Writable directories are left
   * out.
   */
  snapshot(writable: readonly string[]): Promise<Map<string, string>>;
}

const repository = resolve(import.meta.dirname, '../..');

/** The shared libraries of gcr.io/distroless/cc: those of libc6, libgcc-s1 and libstdc++6 that programs link. */
const librariesOfBase = /^(ld-linux-.*|lib(c|dl|m|pthread|rt|gcc_s|stdc\+\+))\.so/;

export async function readStages(): Promise<Stage[]> {
  return parseDockerfile(await readFile(join(repository, 'Dockerfile'), 'utf8'));
}

/** `parent` is a folder that every user can reach, such as the one of a stack, with which it goes. */
export async function buildRoot(parent: string): Promise<ImageRoot> {
  const stages = await readStages();
  const stage = stages.at(-1);
  assert.ok(stage !== undefined);
  const folder = await mkdtemp(join(parent, 'image-'));
  await chmod(folder, 0o755);
  const context = join(folder, 'context');
  const directory = join(folder, 'root');
  await copyContext(context);
  for (const command of stages.flatMap(({ runs }) => runs)) {
    // The packages are already installed here.
    if (!command.includes('npm ci')) await run('sh', ['-c', `cd '${context}' && ${command}`], { env: buildEnv });
  }
  for (const copy of stage.copies) {
    const from = stages.find(({ name }) => name === copy.from);
    const sources = copy.sources.map((source) => placeOf(source, from, context));
    await copyAll(sources, join(directory, copy.to), copy.to.endsWith('/'));
  }
  await addBase(directory);
  return { directory, stage, snapshot: (writable) => snapshotOf(directory, writable) };
}

const buildEnv = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };

/**
 * The files that .dockerignore includes. Ours excludes everything and then lists the included files, at the top of the
 * repository.
 */
async function copyContext(context: string): Promise<void> {
  const patterns = (await readFile(join(repository, '.dockerignore'), 'utf8'))
    .split('\n')
    .filter((l) => /^[^#]/.test(l));
  assert.equal(patterns.shift(), '*');
  await mkdir(context, { recursive: true });
  for (const pattern of patterns) {
    const [, name = ''] = /^!([\w.-]+)$/.exec(pattern) ?? [];
    assert.ok(existsSync(join(repository, name)), `.dockerignore lets through what is not there: ${pattern}`);
    await cp(join(repository, name), join(context, name), { recursive: true });
  }
  await symlink(join(repository, 'node_modules'), join(context, 'node_modules'));
}

function placeOf(source: string, from: Stage | undefined, context: string): string {
  if (from === undefined) return join(context, source);
  if (source === '/usr/local/bin/node') return process.execPath;
  // The npm package of Node has no licence file, so ours stands in for it.
  if (source === '/usr/local/LICENSE') return join(context, 'LICENSE');
  const inside = relative(from.workdir, source);
  assert.ok(!inside.startsWith('..'), `${source} is outside of what stage ${from.name} works in`);
  return join(context, inside);
}

/** As COPY does it: a directory stands for what is in it. */
async function copyAll(sources: readonly string[], to: string, intoDirectory: boolean): Promise<void> {
  for (const source of sources) {
    const target = intoDirectory ? join(to, basename(source)) : to;
    await cp(source, target, { recursive: true, dereference: true, preserveTimestamps: true });
  }
}

async function addBase(directory: string): Promise<void> {
  const native = (await filesOf(directory)).filter((file) => file.endsWith('.node') || file.endsWith('/node'));
  for (const file of native) {
    const needed = (await run('ldd', [join(directory, file)])).matchAll(/^\s*(?:\S+ => )?(\/\S+) \(0x/gm);
    for (const [, library = ''] of needed) {
      assert.match(basename(library), librariesOfBase, `${file} needs a library that the base has not`);
      await cp(library, join(directory, library), { recursive: true, dereference: true });
    }
  }
  await mkdir(join(directory, 'tmp'));
  await chmod(join(directory, 'tmp'), 0o1777);
}

/** Paths from the root of the image, without a slash before them. */
export async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)));
}

async function snapshotOf(directory: string, writable: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of await readdir(directory, { recursive: true })) {
    if (writable.some((folder) => `/${path}/`.startsWith(`${folder}/`))) continue;
    const { mode, size, mtimeMs, uid } = await lstat(join(directory, path));
    found.set(path, `${mode} ${size} ${mtimeMs} ${uid}`);
  }
  return found;
}
