/**
 * What the system has: what its commands print, and packages of Debian, unpacked without being installed. Plain JavaScript, because it
 * runs before anything is installed.
 */
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What a command prints, or '' when there is no such command or it fails. */
export async function output(command, args) {
  try {
    return (await promisify(execFile)(command, args, { cwd: '/' })).stdout.trim();
  } catch {
    return '';
  }
}

/** The options with which `apt-cache` lists what packages cannot do without. */
const allNeeded = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(
  (kind) => `--no-${kind}`,
);

export async function isDebian() {
  return (await output('apt-get', ['--version'])) !== '' && (await output('dpkg', ['--version'])) !== '';
}

/**
 * Unpacks Debian packages into `directory`, without installing them, and those of their libraries whose names match. The lists of
 * packages are fetched for it: those of the system may be missing or old, and only root can write them.
 */
export async function unpackFromDebian(run, names, directory, libraries = /^$/) {
  const apt = join(directory, 'apt');
  for (const folder of ['lists/partial', 'cache/archives/partial']) await mkdir(join(apt, folder), { recursive: true });
  const own = [
    `Dir::State::Lists=${join(apt, 'lists')}`,
    `Dir::Cache=${join(apt, 'cache')}`,
    'APT::Sandbox::User=root',
  ];
  const options = own.flatMap((option) => ['-o', option]);
  await run('apt-get', [...options, 'update'], { cwd: apt });
  const needed = await output('apt-cache', [...options, 'depends', '--recurse', ...allNeeded, ...[names].flat()]);
  const found = needed.split('\n').filter((name) => libraries.test(name));
  await run('apt-get', [...options, 'download', ...[names].flat(), ...found], { cwd: apt });
  for (const file of (await readdir(apt)).filter((each) => each.endsWith('.deb')))
    await run('dpkg', ['--extract', join(apt, file), directory]);
  await rm(apt, { recursive: true });
}
