/**
 * Runs tests against one stack: all of `test/`, or the named files; with `--campaign` the long runs instead.
 *
 * Invariant: the stack starts once for all test files, and stops with this process. A file that never ends is a failure.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { endOverdueFiles } from './overdue.ts';
import { stackVariable, startStack } from './stack.ts';

/** The longest time of one file on an idle machine. */
const limitMs = { test: 15 * 60_000, campaign: 6 * 3_600_000 };

const root = resolve(import.meta.dirname, '../..');
const args = process.argv.slice(2);
const campaign = args.includes('--campaign');
const named = args.filter((arg) => !arg.startsWith('--'));
const flags = args.filter((arg) => arg.startsWith('--') && arg !== '--campaign');
const pattern = campaign ? 'test/**/*.campaign.ts' : 'test/**/*.test.ts';
const files =
  named.length > 0
    ? named
    : globSync(pattern, { cwd: root })
        .sort()
        .map((file) => join(root, file));

// The processes of a run compile the same files, most of them hundreds of times.
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules/.cache/compiled');
// Of all servers of this run, so that a run whose failure depends on the order of tags can be repeated.
process.env['PYTHONHASHSEED'] ??= String(randomInt(2 ** 32));
process.stdout.write(
  `PYTHONHASHSEED=${process.env['PYTHONHASHSEED']} makes Glance send tags in the order of this run.\n`,
);
process.stdout.write('Starting etcd, kube-apiserver, kube-controller-manager, PostgreSQL, Keystone and Glance…\n');
const stack = await startStack();
// Once, before many files at the same moment would each try to create it.
await stack.kubernetes.apply(join(root, 'crds'));
process.stdout.write(`They are up; ${files.length} test files run against them.\n`);
const child = spawn(process.execPath, ['--test', '--test-concurrency=4', ...flags, ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, [stackVariable]: stack.file },
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const stopWatch = endOverdueFiles(child.pid ?? process.pid, {
  limitMs: campaign ? limitMs.campaign : limitMs.test,
  onEnd: (command, afterMs) =>
    process.stderr.write(`Ended after ${Math.round(afterMs / 60_000)} min, which is too long: ${command}\n`),
});
const [code]: (number | null)[] = await once(child, 'exit');
stopWatch();
await stack.stop();
process.exitCode = code ?? 1;
