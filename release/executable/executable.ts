/**
 * Makes one executable of the program and what belongs to it in a folder: `npm run executable [FOLDER]`, by default dist/executable.
 * With `--archive` it makes the archive of a release next to the folder. It is for the platform that it is made on.
 *
 * Guarantees: the executable is this Node with the bundled programs and the native decoder in it, and needs no other file. Only
 * OpenPGP.js is a folder next to it, which a user can replace; without that folder, everything but signatures works.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { build, type Metafile, type Plugin } from 'esbuild';
import packageJson from '../../package.json' with { type: 'json' };
import { noticesOf, packagesOf, type UsedPackage } from '../licences.ts';

const root = resolve(import.meta.dirname, '../..');
const name = packageJson.name;
const run = promisify(execFile);
const nodeModules = join(root, 'node_modules');
/** Loaded at run time from the folder next to the executable. */
const openPGP: UsedPackage = { folder: 'node_modules/openpgp', isBundled: false };
/** Node looks for it in its own file. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Makes the folder, whatever it held before. */
export async function makeExecutable(folder: string): Promise<void> {
  const made = await mkdtemp(join(tmpdir(), 'executable-'));
  try {
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'openpgp/dist/node'), { recursive: true });
    const metafiles = [await bundle('src/main.ts', join(made, 'main.js')), ...(await bundleThreads(made))];
    await inject(await blobIn(made), join(folder, name));
    for (const link of ['kubectl-glanceimage', 'kubectl_complete-glanceimage']) await symlink(name, join(folder, link));
    for (const file of ['package.json', 'LICENSE', 'dist/node/openpgp.mjs'])
      await copyFile(join(nodeModules, 'openpgp', file), join(folder, 'openpgp', file));
    await copyFile(join(root, 'LICENSE'), join(folder, 'LICENSE'));
    await writeFile(join(folder, 'LICENSES'), noticesOf(packagesIn(metafiles)));
  } finally {
    await rm(made, { recursive: true });
  }
}

/** The notices of a decoder are those of the package that loads it. */
function packagesIn(metafiles: readonly Metafile[]): UsedPackage[] {
  const found = metafiles.flatMap(packagesOf).filter(({ folder }) => !folder.includes('@napi-rs/lzma-'));
  return [...new Map([...found, openPGP].map((one) => [one.folder, one])).values()];
}

/** The programs of threads, by the name of their asset. */
const threads = {
  'transfer-thread.js': 'src/transfer/thread-main.ts',
  'bzip2-thread.js': 'src/source/decompress/bzip2-thread.ts',
};

function bundleThreads(made: string): Promise<Metafile[]> {
  return Promise.all(Object.entries(threads).map(([asset, entry]) => bundle(entry, join(made, asset))));
}

async function bundle(entry: string, outfile: string): Promise<Metafile> {
  const { metafile } = await build({
    // Imported, so that its first line, which is for shells, is left out.
    stdin: { contents: `import './${entry}';`, resolveDir: root },
    absWorkingDir: root,
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    minifySyntax: true,
    legalComments: 'none',
    // The require of an executable finds the modules of Node only.
    banner: { js: 'require = require("node:module").createRequire(process.execPath);' },
    plugins: [ofExecutable],
    metafile: true,
    logOverride: { 'empty-import-meta': 'silent' },
    logLevel: 'warning',
  });
  return metafile;
}

/** Packages that an executable loads in another way. The decoders of other platforms are never loaded. */
const ofExecutable: Plugin = {
  name: 'executable',
  setup({ onResolve }) {
    onResolve({ filter: /^openpgp$/ }, () => ({ path: join(import.meta.dirname, 'openpgp.cjs') }));
    onResolve({ filter: /^@napi-rs\/lzma-|\.node$|\.wasi\.cjs$/ }, ({ path }) => {
      if (path === decoderPackage()) return { path: join(import.meta.dirname, 'decoder.cjs') };
      return path.startsWith(`${decoderPackage()}/`) ? undefined : { path, external: true };
    });
  },
};

function decoderPackage(): string {
  return `@napi-rs/lzma-${process.platform}-${process.arch}${process.platform === 'linux' ? '-gnu' : ''}`;
}

/** Makes the program and its assets one file for Node. */
async function blobIn(made: string): Promise<string> {
  const output = join(made, 'program.blob');
  const decoder = createRequire(join(nodeModules, '@napi-rs/lzma/index.js')).resolve(decoderPackage());
  const config = {
    main: join(made, 'main.js'),
    output,
    disableExperimentalSEAWarning: true,
    // As in the container: no signal opens a debugger. NODE_OPTIONS of the user is for other programs.
    execArgv: ['--disable-sigusr1'],
    execArgvExtension: 'none',
    assets: {
      ...Object.fromEntries(Object.keys(threads).map((asset) => [asset, join(made, asset)])),
      'decoder.node': decoder,
    },
  };
  const file = join(made, 'config.json');
  await writeFile(file, JSON.stringify(config));
  await run(process.execPath, ['--experimental-sea-config', file]);
  return output;
}

/** macOS runs no program whose signature does not fit it. */
async function inject(blob: string, executable: string): Promise<void> {
  const isMac = process.platform === 'darwin';
  await copyFile(process.execPath, executable);
  await chmod(executable, 0o755);
  if (isMac) await run('codesign', ['--remove-signature', executable]);
  const segment = isMac ? ['--macho-segment-name', 'NODE_SEA'] : [];
  const postject = join(nodeModules, 'postject/dist/cli.js');
  await run(process.execPath, [postject, executable, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', fuse, ...segment]);
  if (isMac) await run('codesign', ['--sign', '-', executable]);
}

/** Node contains OpenSSL, V8, ICU and more, whose licences ask for their notices. The npm package of Node has none. */
async function pack(folder: string): Promise<void> {
  await copyFile(resolve(dirname(process.execPath), '../LICENSE'), join(folder, 'LICENSE.node'));
  const archive = `${name}-${packageJson.version}-${process.platform}-${process.arch}.tar.gz`;
  await run('tar', ['-czf', join(dirname(folder), archive), '-C', folder, '.']);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { archive: { type: 'boolean' } }, allowPositionals: true });
  const folder = resolve(positionals[0] ?? 'dist/executable');
  await makeExecutable(folder);
  if (values.archive === true) await pack(folder);
}
