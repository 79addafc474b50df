/**
 * A reader who does what a page says: saves its files, types its commands in a shell, and compares what it shows.
 *
 * Invariant: the tools are the real ones, and no command of a page is left out.
 */
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { folders } from '../env/parts.mjs';
import type { Project } from '../env/project.ts';
import { type Block, fileNameOf, root } from './pages.ts';
import { type Shell, startShell } from './shell.ts';
import { assertShown } from './shown.ts';

export interface ReaderOptions {
  /** An empty directory, in which the reader works. */
  directory: string;
  kubeconfig: string;
  /** Who the reader is in the cloud. */
  project: Pick<Project, 'cloudsYaml'>;
  /** What stands in the page, and what is to stand there. */
  replacements: readonly (readonly [string, string])[];
  /** Further programs, by their names. */
  programs?: Readonly<Record<string, string>>;
}

export interface Reader extends AsyncDisposable {
  shell: Shell;
  /** Does what the blocks say, in their order. Throws where a command fails or shows something else. */
  walk(blocks: readonly Block[]): Promise<void>;
}

export async function startReader(options: ReaderOptions): Promise<Reader> {
  const { directory, kubeconfig, project, replacements, programs = {} } = options;
  const tools = join(directory, '.tools');
  mkdirSync(tools);
  for (const tool of ['kubectl', 'helm']) symlinkSync(join(folders.tools, tool), join(tools, tool));
  // The first line of the plugin asks for the Node in PATH.
  symlinkSync(process.execPath, join(tools, 'node'));
  symlinkSync(join(root, 'src/main.ts'), join(tools, 'kubectl-glanceimage'));
  const python = join(folders.python, 'bin', 'python');
  const openstack = `#!/bin/sh\nPYTHONPATH=${folders.openstackClient} exec ${python} -m openstackclient.shell "$@"\n`;
  for (const [name, text] of Object.entries({ ...programs, openstack }))
    writeFileSync(join(tools, name), text, { mode: 0o755 });
  const login = join(directory, '.login.yaml');
  writeFileSync(login, await project.cloudsYaml(), { mode: 0o600 });
  const shell = startShell({
    directory,
    env: {
      PATH: `${tools}:${process.env['PATH']}`,
      HOME: directory,
      KUBECONFIG: kubeconfig,
      OS_CLIENT_CONFIG_FILE: login,
      OS_CLOUD: 'demo',
      // The servers of the tests have private addresses.
      GLANCE_IMAGE_OPERATOR_SOURCE_ALLOW: '127.0.0.0/8',
      GLANCE_IMAGE_OPERATOR_CLOUD_ALLOW: '127.0.0.0/8',
    },
  });
  const localised = (text: string) => replacements.reduce((before, [from, to]) => before.replaceAll(from, to), text);

  async function save(name: string, block: Block): Promise<void> {
    if (name === 'clouds.yaml') {
      const text = await project.cloudsYaml({ auth: 'applicationCredential' });
      writeFileSync(join(directory, name), text, { mode: 0o600 });
      return;
    }
    const { output } = await shell.run('pwd');
    const file = join(output.trim(), name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, localised(block.text));
  }

  return {
    shell,
    async walk(blocks) {
      let last = '';
      for (const block of blocks) {
        const name = fileNameOf(block);
        if (name !== undefined) await save(name, block);
        else if (block.language === 'sh') {
          const { output, code } = await shell.run(localised(block.text));
          assert.equal(code, 0, `${block.at}: exit code ${code}\n${block.text}\n${output}`);
          last = output;
        } else {
          assert.equal(block.language, 'text', `${block.at}: a walk knows files, sh and text`);
          assertShown(last, localised(block.text), block.at);
        }
      }
    },
    [Symbol.asyncDispose]: () => shell[Symbol.asyncDispose](),
  };
}
