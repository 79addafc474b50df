/**
 * `npm run words`: counts the phrases, clauses and test names that this project avoids, and fails unless each
 * is allowed. With paths as arguments it lists the findings in them, allowed ones excepted.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { allowed, mostAllowed, withoutExceptions } from './allowed.ts';
import { type Finding, findingsIn } from './find.ts';

const root = resolve(import.meta.dirname, '../..');

/** Generated copies of checked texts, other people's texts, data, and the tables of this tool. */
const skipped = [
  /^(?:package-lock\.json|LICENSE|\.npmrc|\.gitignore|\.dockerignore)$/,
  /^crds\/|\/files\/crds\/|values\.schema\.json$|\.svg$|go\.(?:sum|mod)$|\.helmignore$/,
  /^test\/chart\/goldens\/|^release\/notices\//,
  /^test\/words\/(?:rules|clauses|names|allowed|words\.test)\.ts$/,
];

function allFindings(): Finding[] {
  const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  return files
    .split('\n')
    .filter((file) => file !== '' && !skipped.some((pattern) => pattern.test(file)))
    .flatMap((file) => {
      const content = contentOf(file);
      if (content === undefined) return [];
      return findingsIn(file, content);
    });
}

/** Undefined if the file was deleted and the deletion is not committed yet. */
function contentOf(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return undefined;
  }
}

function isAllowed({ file, text }: Finding): boolean {
  return allowed.some((entry) => entry.file === file && text.includes(entry.text));
}

function described({ file, line, rule, match, instead }: Finding): string {
  return `${file}:${line}  ${rule}: "${match}" → ${instead}`;
}

const every = allFindings();
const findings = every.filter((finding) => !isAllowed(finding));
const paths = process.argv.slice(2);
if (paths.length > 0) {
  const here = findings.filter(({ file }) => paths.some((path) => file.startsWith(path)));
  for (const finding of here) console.log(described(finding));
  console.log(`${here.length} in ${paths.join(', ')}`);
} else {
  const problems = [
    ...findings.map(described),
    ...(allowed.length > mostAllowed ? [`test/words/allowed.ts has more than ${mostAllowed} entries`] : []),
    ...allowed
      .filter(({ file }) => withoutExceptions.test(file))
      .map(({ file }) => `${file} may have no exception: remove it from test/words/allowed.ts`),
    ...allowed
      .filter((entry) => !every.some(({ file, text }) => file === entry.file && text.includes(entry.text)))
      .map(({ file, text }) => `${file} does not contain "${text}" any more: remove it from test/words/allowed.ts`),
  ];
  for (const problem of problems) console.error(problem);
  console.log(`${findings.length} to rewrite, ${allowed.length} of ${mostAllowed} exceptions in use`);
  if (problems.length > 0) process.exitCode = 1;
}
