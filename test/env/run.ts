/**
 * Runs tests against one stack: all of `test/`, or the named files; with `--campaign` the long runs instead.
 *
 * Invariant: the stack starts once for all test files, and stops with this process.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stackVariable, startStack } from './stack.ts';

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
const [code]: (number | null)[] = await once(child, 'exit');
await stack.stop();
process.exitCode = code ?? 1;
