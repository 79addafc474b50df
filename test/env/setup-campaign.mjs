/** The parts of the test environment that only the long runs need: Flux, OpenTofu with its provider, kubeconform, shells, a browser, and a rival for the benches. */
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, copyFile, cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress } from 'node:zlib';
import * as parts from './parts.mjs';

/** No font of the machine, so that the pages look the same on every one. */
const fontsIn = (directory) => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(directory, 'fonts')}</dir>
  <dir>${join(directory, 'usr', 'share', 'fonts')}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Open Sans</family><family>DejaVu Sans</family></prefer></alias>
</fontconfig>
`;

/** The helpers are those of `setup.mjs`. */
export function campaignParts({ output, goBuild, goIsRecent, unpackFromDebian, unpackFromNpm }) {
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

  /** Builds `main` of a published module, as `program`. Returns where the sources of the module are. */
  async function buildPublished(run, directory, name, { main, program }) {
    const source = await fetched(run, directory, name);
    const module = join(directory, 'module');
    await copied(run, source, module);
    await goBuild(run, join(module, main), join(directory, program), { env: { GOFLAGS: '-mod=mod' } });
    await rm(module, { recursive: true });
    return source;
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
      ])
        await buildPublished(run, directory, name, { main, program });
    },
  };

  const kubeconform = {
    name: 'kubeconform',
    folder: parts.folders.kubeconform,
    usually: 'about 20 seconds',
    needs: goIsRecent,
    async build(directory, run) {
      const name = `github.com/yannh/kubeconform@v${parts.kubeconformVersion}`;
      await buildPublished(run, directory, name, { main: join('cmd', 'kubeconform'), program: 'kubeconform' });
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

  const browser = {
    name: 'Chromium',
    folder: parts.folders.browser,
    usually: 'about 20 seconds',
    async build(directory, run) {
      await unpackFromNpm(run, parts.browserPackages.browser, directory);
      const packed = join(directory, 'package', 'bin');
      for (const file of ['chromium', 'al2023.tar', 'fonts.tar'])
        await pipeline(
          createReadStream(join(packed, `${file}.br`)),
          createBrotliDecompress(),
          createWriteStream(join(directory, file)),
        );
      await chmod(join(directory, 'chromium'), 0o755);
      await mkdir(join(directory, 'fonts'));
      for (const [archive, into] of [
        ['al2023.tar', directory],
        ['fonts.tar', join(directory, 'fonts')],
      ]) {
        await run('tar', ['-xf', join(directory, archive), '-C', into]);
        await rm(join(directory, archive));
      }
      await unpackFromDebian(run, parts.browserPackages.letters, directory);
      await writeFile(join(directory, 'fonts', 'fonts.conf'), fontsIn(parts.folders.browser));
      await rm(join(directory, 'package'), { recursive: true });
    },
  };

  const orc = {
    name: 'ORC',
    folder: parts.folders.orc,
    usually: 'about 4 minutes',
    needs: goIsRecent,
    async build(directory, run) {
      const name = `github.com/k-orc/openstack-resource-controller/v2@v${parts.orcVersion}`;
      const main = join('cmd', 'manager');
      const source = await buildPublished(run, directory, name, { main, program: 'manager' });
      await cp(join(source, 'config', 'crd', 'bases'), join(directory, 'crds'), { recursive: true });
    },
  };

  return { campaign: [flux, tofu, kubeconform, shells, browser], rivals: [orc] };
}
