/** The program as it is installed: both names, and that by which kubectl asks for completions, lead to the same file. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

export const program = join(import.meta.dirname, '../../src/main.ts');

export interface Installed extends Disposable {
  /** In PATH, and the home of its user. */
  folder: string;
  /** Runs a command to its end. */
  run(args: readonly string[], env?: Record<string, string>): SpawnSyncReturns<string>;
}

export function install(): Installed {
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-cli-'));
  for (const name of ['glance-image-operator', 'kubectl-glanceimage', 'kubectl_complete-glanceimage'])
    symlinkSync(program, join(folder, name));
  const path = [folder, dirname(process.execPath), process.env['PATH']].join(delimiter);
  return {
    folder,
    run: ([name = '', ...args], env = {}) =>
      spawnSync(name, args, { encoding: 'utf8', env: { PATH: path, HOME: folder, ...env } }),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}
