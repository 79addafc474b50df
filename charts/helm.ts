/**
 * Runs helm on the chart: the helm that `npm run setup` installs, or the one on the PATH. Invariant: it contacts no cluster, and
 * neither reads nor writes the home directory of the user.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { folders } from '../test/env/parts.mjs';

export const chart = resolve(import.meta.dirname, 'glance-image-operator');

export type Ended = { kind: 'done'; stdout: string } | { kind: 'rejected'; stderr: string };

/** One run of helm. Resolves whatever its exit code is; rejects if helm is missing or takes longer than a minute. */
export async function helm(...args: string[]): Promise<Ended> {
  const packaged = join(folders.tools, 'helm');
  const home = await mkdtemp(join(tmpdir(), 'helm-'));
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
  };
  const options = { env, maxBuffer: 2 ** 24, timeout: 60_000 };
  try {
    return await new Promise((done, failed) => {
      execFile(existsSync(packaged) ? packaged : 'helm', args, options, (error, stdout, stderr) => {
        if (error === null) done({ kind: 'done', stdout });
        else if (typeof error.code === 'number') done({ kind: 'rejected', stderr });
        else failed(error);
      });
    });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

export interface Release {
  name: string;
  namespace: string;
  /** Paths of values files. */
  values?: readonly string[];
  /** Arguments of `--set`. */
  set?: readonly string[];
}

/** Runs `helm template` on the chart. */
export function template({ name, namespace, values = [], set = [] }: Release): Promise<Ended> {
  const given = [...values.flatMap((file) => ['--values', file]), ...set.flatMap((each) => ['--set', each])];
  return helm('template', name, chart, '--namespace', namespace, ...given);
}

/** Like `template`, but throws helm's error message if the chart rejects the values. */
export async function render(release: Release): Promise<string> {
  const ended = await template(release);
  if (ended.kind === 'rejected') throw new Error(ended.stderr);
  return ended.stdout;
}
