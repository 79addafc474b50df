/**
 * Writes the CRD into crds/ of the working directory; with `--check` it writes nothing and exits with 1 when the file there
 * is not what the schemas say.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { group, plural } from '../group.ts';
import { crdYaml } from './crd.ts';

const file = `crds/${group}_${plural}.yaml`;

if (process.argv.includes('--check')) {
  if (present() !== crdYaml()) {
    process.stderr.write(`${file} is out of date: run "npm run generate" and commit the result.\n`);
    process.exitCode = 1;
  }
} else {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, crdYaml());
}

function present(): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
