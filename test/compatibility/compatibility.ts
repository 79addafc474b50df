/**
 * `npm run compatibility [-- NAME…]`: runs the tests on the clusters and clouds of `combinations.ts`, all or the named ones, and publishes
 * the results in `results.json`. `--again` also runs those that have a result.
 *
 * Guarantees: combinations do not disturb each other, one that cannot be made is a result, and an interrupted run goes on with the
 * combination at which it was interrupted.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { root } from '../env/parts.mjs';
import { releaseVariables } from '../env/releases.mjs';
import { type Combination, combinations, nameOf, testFiles } from './combinations.ts';
import { verdictOf } from './differences.ts';
import { isGood } from './page.ts';
import { type Outcome, outcomeSchema } from './reporter.ts';
import {
  cachedResult,
  causeIn,
  hashOfSources,
  keepResult,
  publishedFile,
  publishedResults,
  type Result,
} from './result.ts';

const env = (name: string) => join(root, 'test', 'env', name);
const say = (line: string) => process.stdout.write(`compatibility: ${line}\n`);

/** Servers are chosen by the environment, so each combination has processes of its own. */
function environmentOf({ kubernetes, openstack, store }: Combination): NodeJS.ProcessEnv {
  return {
    ...process.env,
    [releaseVariables.kubernetes]: kubernetes,
    [releaseVariables.openstack]: openstack,
    [releaseVariables.store]: store,
  };
}

interface Ended {
  code: number;
  /** The last of what it printed. */
  tail: string;
}

async function node(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn(process.execPath, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let tail = '';
  for (const [stream, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const)
    stream.on('data', (chunk: Buffer) => {
      to.write(chunk);
      tail = `${tail}${chunk}`.slice(-4_000);
    });
  const [code]: (number | null)[] = await once(child, 'close');
  return { code: code ?? 1, tail };
}

const versionsSchema = z.object({ keystone: z.string(), glance: z.string() });

async function versionsIn(environment: NodeJS.ProcessEnv): Promise<z.infer<typeof versionsSchema>> {
  const script = `
import { execFileSync } from 'node:child_process';
import { folders } from ${JSON.stringify(env('parts.mjs'))};
const of = 'import json, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in ["keystone", "glance"]}))';
process.stdout.write(execFileSync(folders.python + '/bin/python', ['-c', of]));`;
  const args = ['--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: environment });
  return versionsSchema.parse(JSON.parse(stdout));
}

async function outcomeOf(combination: Combination): Promise<Result['outcome']> {
  const environment = environmentOf(combination);
  const setup = await node([env('setup.mjs')], environment);
  if (setup.code !== 0) return { is: 'not run', error: causeIn(setup.tail) };
  const directory = mkdtempSync(join(tmpdir(), 'compatibility-'));
  try {
    const file = join(directory, 'outcomes');
    const reporters = [
      ...[`--test-reporter=${join(import.meta.dirname, 'reporter.ts')}`, `--test-reporter-destination=${file}`],
      ...['--test-reporter=dot', '--test-reporter-destination=stdout'],
    ];
    const run = await node([env('run.ts'), ...reporters, ...Object.keys(testFiles)], environment);
    const outcomes = outcomesIn(file);
    if (outcomes.length === 0) return { is: 'not run', error: causeIn(run.tail) };
    for (const { name, error } of outcomes) if (error !== undefined) say(`failed: ${name}: ${error.split('\n')[0]}`);
    const failed = outcomes.filter(({ error }) => error !== undefined).map(({ name }) => name);
    const versions = await versionsIn(environment);
    return { is: 'run', ...versions, passed: outcomes.length - failed.length, failed: [...new Set(failed)].sort() };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Empty when the servers did not start. */
function outcomesIn(file: string): Outcome[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => outcomeSchema.parse(JSON.parse(line)));
  } catch {
    return [];
  }
}

/** Whether the combination is as the table of differences says. */
function judge(result: Result): boolean {
  const { outcome } = result;
  const name = nameOf(result);
  if (outcome.is === 'not run') {
    say(`${name} was not run: ${outcome.error}`);
    return false;
  }
  const { unexplained, stale } = verdictOf(result, outcome.failed);
  say(`${name}: ${outcome.passed} tests passed, ${outcome.failed.length} failed`);
  for (const test of unexplained) say(`${name}: failed, and no difference says so: ${test}`);
  for (const test of stale) say(`${name}: passed, although a difference says that it fails: ${test}`);
  return isGood(result);
}

/** The file is read again each time, because another run may have published in between. */
function publish(name: string, result: Result): void {
  const results = new Map(publishedResults().map((each) => [nameOf(each), each])).set(name, result);
  const published = combinations.flatMap((each) => results.get(nameOf(each)) ?? []);
  writeFileSync(publishedFile, `${JSON.stringify(published, null, 2)}\n`);
}

const args = process.argv.slice(2);
const names = args.filter((arg) => !arg.startsWith('--'));
const unknown = names.filter((name) => !combinations.some((each) => nameOf(each) === name));
if (unknown.length > 0) {
  say(`there is no ${unknown.join(', ')}; there are ${combinations.map(nameOf).join(', ')}`);
  process.exit(2);
}
const chosen = combinations.filter((each) => names.length === 0 || names.includes(nameOf(each)));
let good = true;
for (const combination of chosen) {
  const name = nameOf(combination);
  const sources = hashOfSources();
  const known = args.includes('--again') ? undefined : cachedResult(name, combination, sources);
  say(known === undefined ? `${name} begins` : `${name} has a result for these sources`);
  const ran = new Date().toISOString().slice(0, 10);
  const result = known ?? { ...combination, ran, outcome: await outcomeOf(combination) };
  keepResult(name, result, sources);
  good = judge(result) && good;
  publish(name, result);
}
say('run "npm run generate" to write the page of the results');
process.exitCode = good ? 0 : 1;
