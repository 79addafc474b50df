/** The operator as it is shipped: one file, with as much heap as its container gives it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '..');
/** As the image says: of the 512 MiB of its container, 60 % are for what stays. */
const flags = ['--max-old-space-size=307'];

/** Builds it, and resolves with the arguments for node to run it. */
export async function buildProgram(): Promise<readonly string[]> {
  await promisify(execFile)('npm', ['run', 'build'], { cwd: root });
  return [...flags, join(root, 'dist/glance-image-operator.js')];
}
