import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { endOverdueFiles } from './overdue.ts';

/** A test file that leaves a server open. */
const open = (setUp: string) => `
import { createServer } from 'node:http';
import { before, describe, test } from 'node:test';
describe('a group', () => {
  before(async () => {
    await new Promise((resolve) => createServer().listen(0, '127.0.0.1', resolve));
    process.stderr.write('its output\\n');
    ${setUp}
  });
  test('a test', () => {});
});
`;

for (const [what, setUp] of [
  ['whose set-up fails and leaves a server open', "throw new Error('the set-up failed');"],
  ['that passes and leaves a server open', ''],
] as const) {
  test(`a test file ${what} is ended, named and counted as a failure`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'overdue-'));
    t.after(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'open.test.mjs'), open(setUp));
    await writeFile(join(directory, 'fine.test.mjs'), `import { test } from 'node:test'; test('fine', () => {});`);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const runner = spawn(process.execPath, ['--test', '--test-reporter=tap', `${directory}/*.test.mjs`], { env });
    t.after(() => runner.kill());
    const ended: string[] = [];
    let report = '';
    let stop = () => {};
    for await (const piece of runner.stdout) {
      report += piece;
      // By then the open file is the only child.
      if (!report.includes('its output') || !report.includes('ok 1 - fine') || ended.length > 0) continue;
      stop();
      const onEnd = (command: string) => ended.push(command);
      stop = endOverdueFiles(runner.pid ?? assert.fail(), { limitMs: 0, everyMs: 50, onEnd });
    }
    stop();
    assert.match(ended.join('\n'), /open\.test\.mjs/);
    assert.match(report, /its output/);
    assert.equal(runner.exitCode ?? (await once(runner, 'exit'))[0], 1);
  });
}
