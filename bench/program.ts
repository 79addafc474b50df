/** The operator as it is shipped: one file, with as much heap as its container gives it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..');
/** As the image says: of the 512 MiB of its container, 60 % are for what stays. */
const flags = ['--max-old-space-size=307'];

/**
 * Builds it, and resolves with the arguments for node to run it. With the environment variable CPU_PROFILE, the process and its threads
 * write their profiles into that directory when they end.
 */
export async function buildProgram(): Promise<readonly string[]> {
  await promisify(execFile)('npm', ['run', 'build:operator'], { cwd: root });
  const directory = process.env['CPU_PROFILE'];
  const profile = directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`];
  return [...flags, ...profile, join(root, 'dist/glance-image-operator.js')];
}
