/** Makes what only the runs of compatibility need: control planes and clouds of earlier releases, and an S3 server. */
import { copyFile, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as parts from './parts.mjs';
import { earlierKubernetes, earlierOpenstack, release } from './releases.mjs';
import { currentCloud, versionFlags } from './setup-current.mjs';

/** Kubernetes has its own modules of the same repository by path; they are published as v0.MINOR.PATCH. */
function controlPlaneModule(goMod, version) {
  const [, minor, patch] = version.split('.');
  const published = earlierKubernetes[version];
  return goMod
    .replace(/^module .*$/m, 'module glance-image-operator.dev/test/control-plane')
    .replace(/=> \.\/staging\/src\/(\S+)/g, (_, name) => `=> ${name} ${published[name] ?? `v0.${minor}.${patch}`}`)
    .concat(`\nrequire k8s.io/kubernetes v${version}\n`);
}

/** The helpers are those of `setup.mjs`. */
export function earlierControlPlane({ output, goBuild, goIsRecent }) {
  const version = release.kubernetes;
  return {
    name: `Kubernetes ${version}`,
    folder: parts.folders.controlPlane,
    usually: 'about 6 minutes',
    needs: goIsRecent,
    async build(directory, run) {
      const module = join(directory, 'module');
      await mkdir(module);
      const name = `k8s.io/kubernetes@v${version}`;
      await run('go', ['mod', 'download', name], { cwd: module });
      const fetched = join(await output('go', ['env', 'GOMODCACHE']), 'cache', 'download', name.replace('@', '/@v/'));
      await writeFile(join(module, 'go.mod'), controlPlaneModule(await readFile(`${fetched}.mod`, 'utf8'), version));
      await copyFile(join(parts.goModule, 'main.go'), join(module, 'main.go'));
      const program = join(directory, 'control-plane');
      await goBuild(run, module, program, { linked: versionFlags(version), env: { GOFLAGS: '-mod=mod' } });
      await rm(module, { recursive: true });
    },
  };
}

/** Of Debian: the two services, a driver for PostgreSQL, and a server to run them in. */
const debianPackages = [
  ...['python3-keystone', 'python3-glance', 'glance-common', 'python3-psycopg2', 'python3-memcache'],
  ...['uwsgi-core', 'uwsgi-plugin-python3'],
];
/** The system's own C library is used, and nothing runs Perl or a compiler. */
const unneeded = /^(libc6|libc-bin|perl|libperl|gcc|libgcc|g\+\+|cpp)[-_\d]/;

/**
 * A program of the unpacked packages, as if its folder were a Python environment: PYTHONHOME is the folder, which is where
 * both the interpreter and uwsgi look for the modules.
 */
const wrapper = (program) => `#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH="$here/root/usr/lib/$(uname -m)-linux-gnu:$here/root/lib/$(uname -m)-linux-gnu" PYTHONHOME="$here"
exec "$here/root/usr/bin/"${program} "$@"
`;
const programs = {
  python: 'python3.11',
  uwsgi: 'uwsgi-core --plugin-dir "$here/root/usr/lib/uwsgi/plugins" --plugin python311',
};
const manage = (name) => `import sys\nfrom ${name}.cmd.manage import main\nsys.exit(main())\n`;

/** The packages and all that they depend on, as files in `directory`. The lists of packages are the system's own. */
async function fetchWithDependencies(run, directory) {
  const archives = join(directory, 'cache', 'archives');
  await mkdir(join(archives, 'partial'), { recursive: true });
  // Nothing counts as installed, so that the result does not depend on what is.
  await writeFile(join(directory, 'status'), '');
  const own = [`Dir::State::status=${join(directory, 'status')}`, `Dir::Cache=${join(directory, 'cache')}`];
  const options = [...own, 'APT::Sandbox::User=root'].flatMap((option) => ['-o', option]);
  await run('apt-get', [...options, 'install', '--download-only', '--no-install-recommends', '-y', ...debianPackages]);
  return (await readdir(archives)).filter((file) => file.endsWith('.deb')).map((file) => join(archives, file));
}

/** OpenStack Zed, unpacked and not installed. */
function fromDebian({ output, Failure }) {
  return {
    async needs() {
      const policy = await output('apt-cache', ['policy', 'python3-glance']);
      if (!/\s2:25\./.test(policy))
        throw new Failure('OpenStack Zed is made of packages of Debian 12: run this there.');
    },
    async build(directory, run) {
      const root = join(directory, 'root');
      const fetched = join(directory, 'fetched');
      await mkdir(root);
      for (const file of await fetchWithDependencies(run, fetched))
        if (!unneeded.test(basename(file))) await run('dpkg', ['--extract', file, root]);
      await rm(fetched, { recursive: true });
      await symlink(join('root', 'usr', 'lib'), join(directory, 'lib'));
      await mkdir(join(directory, 'bin'));
      for (const [name, program] of Object.entries(programs))
        await writeFile(join(directory, 'bin', name), wrapper(program), { mode: 0o755 });
      for (const name of ['keystone', 'glance'])
        await writeFile(join(directory, 'bin', `${name}-manage`), manage(name));
      await mkdir(join(directory, 'etc', 'glance'), { recursive: true });
      const paste = 'glance-api-paste.ini';
      await copyFile(join(root, 'usr', 'share', 'glance-common', paste), join(directory, 'etc', 'glance', paste));
    },
  };
}

/** An S3 server that keeps everything in memory, and what Glance's store needs to use it. */
export function s3Server({ goIsRecent, pip, installPinned }) {
  return {
    name: 'S3 server',
    folder: parts.folders.s3,
    usually: 'about 1 minute',
    needs: goIsRecent,
    async build(directory, run) {
      const program = `github.com/johannesboyne/gofakes3/cmd/gofakes3@v${parts.s3Version}`;
      await run('go', ['install', program], { cwd: directory, env: { ...process.env, GOBIN: directory } });
      const target = join(directory, 'python');
      await run('python3', [...pip, ...installPinned, '--no-deps', '--target', target, '-r', parts.s3Requirements]);
    },
  };
}

/** The requirements of a release on PyPI are those of `parts.mjs`; nothing else differs from the current one. */
export function earlierCloud(helpers) {
  const { from } = earlierOpenstack[release.openstack];
  const name = `Keystone and Glance of ${release.openstack}`;
  return { ...currentCloud(helpers), ...(from === 'PyPI' ? {} : fromDebian(helpers)), name };
}
