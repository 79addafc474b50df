/**
 * Makes the npm package of the library in a folder: `node release/library.ts [FOLDER]`, by default dist/library. A step of
 * `npm run build`.
 *
 * Guarantees: the types name only files and packages that the package has or depends on, and it depends on nothing else.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, posix, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import packageJson from '../package.json' with { type: 'json' };

const root = resolve(import.meta.dirname, '..');
const entry = 'library/index';
const differences = 'docs/reference/differences-from-cinder.md';
const run = promisify(execFile);

/** Makes the folder, whatever it held before. */
export async function makeLibrary(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const packages = new Set([...(await bundle(folder)), ...(await declarations(folder)), '@types/node']);
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(manifest(packages), undefined, 2)}\n`);
  const readme = await readFile(join(root, 'src/library/README.md'), 'utf8');
  await writeFile(join(folder, 'README.md'), readme.replaceAll(`../../${differences}`, posix.basename(differences)));
  await copyFile(join(root, differences), join(folder, posix.basename(differences)));
  await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
}

/** Writes glance.js; returns the packages that it imports. They are not bundled: a user updates them without us. */
async function bundle(folder: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [join(root, 'src', `${entry}.ts`)],
    outfile: join(folder, 'glance.js'),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node24',
    charset: 'utf8',
    metafile: true,
    logLevel: 'warning',
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return imports
    .filter(({ external, path }) => external === true && !isBuiltin(path))
    .map(({ path }) => packageOf(path));
}

/** Writes the declarations that those of the entry lead to; returns the packages that they import. */
async function declarations(folder: string): Promise<string[]> {
  const all = await mkdtemp(join(tmpdir(), 'types-'));
  await run(join(root, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.types.json', '--outDir', all], { cwd: root });
  const packages: string[] = [];
  const seen = new Set([entry]);
  // A Set is visited in the order in which it grows.
  for (const module of seen) {
    const text = await readFile(join(all, `${module}.d.ts`), 'utf8');
    for (const path of importsOf(text)) {
      if (path.startsWith('.')) seen.add(posix.join(posix.dirname(module), path.replace(/\.ts$/, '')));
      else if (!isBuiltin(path)) packages.push(packageOf(path));
    }
    const file = join(folder, 'types', `${module}.d.ts`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text.replaceAll(/(\bfrom '|\bimport\(')(\.[^']+)\.ts'/g, "$1$2.js'"));
  }
  await rm(all, { recursive: true });
  return packages;
}

export function importsOf(code: string): string[] {
  return [...code.matchAll(/\b(?:from |import\(|import )(['"])([^'"]+)\1/g)].map(([, , path = '']) => path);
}

function packageOf(path: string): string {
  return path.split('/', path.startsWith('@') ? 2 : 1).join('/');
}

function manifest(packages: ReadonlySet<string>): object {
  const versions = new Map(Object.entries({ ...packageJson.dependencies, ...packageJson.devDependencies }));
  return {
    name: packageJson.name,
    version: packageJson.version,
    description: 'The image service of OpenStack for programs: what the one of Cinder does, in TypeScript.',
    license: packageJson.license,
    homepage: `${packageJson.homepage}/tree/main/src/library`,
    repository: { ...packageJson.repository, directory: 'src/library' },
    type: 'module',
    engines: packageJson.engines,
    exports: { './glance': { types: `./types/${entry}.d.ts`, default: './glance.js' } },
    dependencies: Object.fromEntries([...packages].sort().map((name) => [name, `^${versions.get(name)}`])),
  };
}

if (import.meta.main) await makeLibrary(resolve(process.argv[2] ?? join(root, 'dist/library')));
