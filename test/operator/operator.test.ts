import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { patienceMs } from '../env/wait.ts';

/** Something that says that it is ready and stays, as an operator does. */
const standIn = `console.log('{"msg":"Ready"}'); setInterval(() => {}, 60_000)`;
/** Both hold the fourth descriptor, so that it closes when neither is there any more. */
const owner = `
  import { spawn } from 'node:child_process';
  import { attachOperator } from ${JSON.stringify(join(import.meta.dirname, 'operator.ts'))};
  await attachOperator(spawn(process.execPath, ['-e', ${JSON.stringify(standIn)}], { stdio: ['ignore', 'pipe', 'pipe', 3] }));
  console.log('ready');
`;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`a test stopped by ${signal} leaves no operator process behind`, { timeout: patienceMs }, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', owner], {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    });
    const { stdout, stdio } = child;
    const held = stdio[3];
    assert.ok(held instanceof Readable && stdout !== null);
    const closed = once(held.resume(), 'close');
    const ended = once(child, 'exit');
    await once(createInterface({ input: stdout }), 'line');
    child.kill(signal);
    const [, by]: (string | null)[] = await ended;
    assert.equal(by, signal);
    await closed;
  });
}
