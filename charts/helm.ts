/**
 * The chart through helm itself: the one that `npm run setup` brings, or the one on the PATH. Law: no cluster is asked, and
 * nothing is read or written in the home of the user.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { folders } from '../test/env/parts.mjs';

export const chart = resolve(import.meta.dirname, 'glance-image-operator');

export type Ended = { kind: 'done'; stdout: string } | { kind: 'refused'; stderr: string };

/** One run of helm, whose exit code is an answer. Rejects where there is no helm, or it takes longer than a minute. */
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
        else if (typeof error.code === 'number') done({ kind: 'refused', stderr });
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
  /** Files of values. */
  values?: readonly string[];
  /** As `--set` takes them. */
  set?: readonly string[];
}

/** What `helm template` makes of the chart. */
export function template({ name, namespace, values = [], set = [] }: Release): Promise<Ended> {
  const given = [...values.flatMap((file) => ['--values', file]), ...set.flatMap((each) => ['--set', each])];
  return helm('template', name, chart, '--namespace', namespace, ...given);
}

/** As `template`. Throws helm's own words where the chart refuses the values. */
export async function render(release: Release): Promise<string> {
  const ended = await template(release);
  if (ended.kind === 'refused') throw new Error(ended.stderr);
  return ended.stdout;
}
