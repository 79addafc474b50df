/** The parts of the test environment that only the long runs need, Flux, OpenTofu with its provider, and shells. */
import { copyFile, cp, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as parts from './parts.mjs';

/** The helpers are those of `setup.mjs`. */
export function campaignParts({ output, goBuild, goIsRecent, unpackFromDebian }) {
  /** Where the sources of a module are. */
  async function fetched(run, directory, name) {
    await run('go', ['mod', 'download', name], { cwd: directory });
    return join(await output('go', ['env', 'GOMODCACHE']), name);
  }

  /** The module cache is read-only, and so is what is copied from it. */
  async function copied(run, source, module) {
    await cp(source, module, { recursive: true });
    await run('chmod', ['-R', 'u+w', module]);
  }

  const flux = {
    name: 'Flux',
    folder: parts.folders.flux,
    usually: 'about 4 minutes',
    needs: goIsRecent,
    async build(directory, run) {
      const module = join(directory, 'module');
      const ofFlux = (name) => fetched(run, directory, `github.com/fluxcd/${name}@v${parts.fluxVersion}`);
      const source = await ofFlux('kustomize-controller');
      await copied(run, source, module);
      // Its API is a separate module in the same repository, which is not part of the downloaded module.
      await run('go', ['mod', 'edit', '-dropreplace=github.com/fluxcd/kustomize-controller/api'], { cwd: module });
      await goBuild(run, module, join(directory, 'kustomize-controller'), { env: { GOFLAGS: '-mod=mod' } });
      await rm(module, { recursive: true });
      await mkdir(join(directory, 'crds'));
      for (const from of [source, await ofFlux('source-controller')]) {
        const crds = join(from, 'config', 'crd', 'bases');
        for (const file of await readdir(crds)) await copyFile(join(crds, file), join(directory, 'crds', file));
      }
    },
  };

  const tofu = {
    name: 'OpenTofu',
    folder: parts.folders.tofu,
    usually: 'about 4 minutes',
    needs: goIsRecent,
    async build(directory, run) {
      const provider = 'terraform-provider-openstack';
      const { tofu: version, provider: providerVersion } = parts.tofuVersions;
      for (const [name, main, program] of [
        [`github.com/${provider}/${provider}/v3@v${providerVersion}`, '.', provider],
        [`github.com/opentofu/opentofu@v${version}`, join('cmd', 'tofu'), 'tofu'],
      ]) {
        const module = join(directory, 'module');
        await copied(run, await fetched(run, directory, name), module);
        await goBuild(run, join(module, main), join(directory, program), { env: { GOFLAGS: '-mod=mod' } });
        await rm(module, { recursive: true });
      }
    },
  };

  const shells = {
    name: 'zsh and fish',
    folder: parts.folders.shells,
    usually: 'a few seconds',
    async build(directory, run) {
      for (const name of parts.shellPackages) await unpackFromDebian(run, name, directory);
    },
  };

  return [flux, tofu, shells];
}
