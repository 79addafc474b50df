import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../../src/commands/config.ts';
import { exitCodeOf, exitCodes } from '../../src/commands/exit.ts';
import { LeadershipLost } from '../../src/http/fence.ts';
import { OperatorError } from '../../src/lib/errors.ts';

const root = join(import.meta.dirname, '../..');
const node = (args: string[]) => spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', env: {} });

test('the exit code distinguishes a lost lease and wrong usage from other failures', () => {
  const lost = new LeadershipLost('another leads');
  const wrapped = new OperatorError('lease failed', { code: 'ComponentFailed', cause: lost });
  assert.equal(exitCodeOf(lost), exitCodes.leaseLost);
  assert.equal(exitCodeOf(wrapped), exitCodes.leaseLost);
  assert.equal(exitCodeOf(new UsageError('no such flag')), exitCodes.usage);
  assert.equal(exitCodeOf(new Error('anything')), exitCodes.failed);
});

test('--help says what each exit code means', () => {
  const { stdout, status } = node(['src/main.ts', 'run', '--help']);
  assert.equal(status, 0);
  for (const code of Object.values(exitCodes)) assert.match(stdout, new RegExp(`^  ${code}  \\S`, 'm'));
});

test('contradictory durations of the lease are rejected with a message', () => {
  for (const [flags, words] of [
    [['--lease-duration', '10s'], /--lease-duration must be longer than --lease-renew-deadline/],
    [['--lease-retry', '6s'], /at least twice --lease-retry/],
    [['--lease-duration', '15.5'], /--lease-duration: must be a duration such as 15s/],
    [['--leader-elect', 'yes'], /--leader-elect/],
  ] as const) {
    const { stderr, status } = node(['src/main.ts', 'run', '--kubeconfig', '/dev/null', ...flags]);
    assert.match(stderr, words);
    assert.equal(status, exitCodes.usage);
  }
});

test('an unhandled error ends the process with one log line that names it', () => {
  const program = (last: string) => `
    import { exitOnUnhandled } from './src/commands/exit.ts';
    import { createLogger } from './src/lib/log.ts';
    exitOnUnhandled(createLogger('info'));
    ${last}`;
  for (const [event, last] of [
    ['unhandledRejection', `Promise.reject(new Error('boom')); setInterval(() => {}, 1000);`],
    ['uncaughtException', `setTimeout(() => { throw new Error('boom'); }); setInterval(() => {}, 1000);`],
  ] as const) {
    const { stdout, stderr, status } = node(['--input-type=module', '--eval', program(last)]);
    assert.equal(status, exitCodes.bug, stderr);
    const [line, ...others] = stdout.trim().split('\n');
    assert.deepEqual(others, []);
    const told = JSON.parse(line ?? '');
    assert.equal(told.event, event);
    assert.equal(told.msg, 'The process exits because of an unhandled error: boom');
    assert.match(told.stack, /boom\n/);
  }
});
