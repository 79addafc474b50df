/** Makes the control plane and the cloud of `npm test`. The helpers are those of `setup.mjs`. */
import { join } from 'node:path';
import * as parts from './parts.mjs';
import { release } from './releases.mjs';

/** Of the linker: without them the server reports v0.0.0. */
export function versionFlags(version) {
  const [major, minor] = version.split('.');
  const name = 'k8s.io/component-base/version';
  return [
    ...['-X', `${name}.gitVersion=v${version}`],
    ...['-X', `${name}.gitMajor=${major}`, '-X', `${name}.gitMinor=${minor}`],
  ];
}

export const currentControlPlane = ({ goBuild, goIsRecent }) => ({
  name: 'Kubernetes control plane',
  folder: parts.folders.controlPlane,
  usually: 'about 6 minutes',
  needs: goIsRecent,
  async build(directory, run) {
    const linked = versionFlags(release.kubernetes);
    await goBuild(run, parts.goModule, join(directory, 'control-plane'), { linked });
  },
});

export const currentCloud = ({ pip, installPinned, pythonIsRecent }) => ({
  name: 'Keystone and Glance',
  folder: parts.folders.python,
  usually: 'about 2 minutes',
  needs: pythonIsRecent,
  async build(directory, run) {
    await run('python3', ['-m', 'venv', directory]);
    const python = join(directory, 'bin', 'python');
    await run(python, [...pip, ...installPinned, '-r', parts.buildRequirements]);
    // Without isolation a build downloads nothing, and uses what was just installed.
    await run(python, [...pip, ...installPinned, '--no-build-isolation', '--use-pep517', '-r', parts.requirements]);
  },
});
