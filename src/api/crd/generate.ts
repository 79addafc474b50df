/**
 * Writes what is generated from src/api, in the working directory: the CRD and the page of reasons. With `--check` it writes
 * nothing and exits with 1 when a file there is not what the sources say.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { group, plural } from '../group.ts';
import { reasonsPage } from '../reasons.ts';
import { crdYaml } from './crd.ts';

const generated: Record<string, string> = {
  [`crds/${group}_${plural}.yaml`]: crdYaml(),
  'docs/reasons.md': reasonsPage(),
};

for (const [file, text] of Object.entries(generated)) {
  if (!process.argv.includes('--check')) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  } else if (present(file) !== text) {
    process.stderr.write(`${file} is out of date: run "npm run generate" and commit the result.\n`);
    process.exitCode = 1;
  }
}

function present(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
