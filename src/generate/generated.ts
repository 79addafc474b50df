/**
 * Files that are generated from sources. Invariant: the repository has the generated text, or `npm run check` fails.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes the files, by their paths in the working directory. With `--check` on the command line it writes nothing, and the
 * process exits with 1 when one of them is not as it should be.
 */
export function putGenerated(files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) {
    if (!process.argv.includes('--check')) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    } else if (present(file) !== text) {
      process.stderr.write(`${file} is out of date: run "npm run generate" and commit the result.\n`);
      process.exitCode = 1;
    }
  }
}

function present(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
