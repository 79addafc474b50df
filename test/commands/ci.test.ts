/** The example that comments the plan of a pull request. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { planCommand } from '../../src/commands/plan.ts';

const examples = resolve(import.meta.dirname, '../../examples/ci');
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-ci-'));
});
after(() => rmSync(folder, { recursive: true }));

/** `command`: the body of the program that the script calls. */
function comment(command: string) {
  writeFileSync(join(folder, 'glance-image-operator'), `#!/bin/sh\n${command}\n`, { mode: 0o755 });
  const env = { PATH: `${folder}:/usr/bin:/bin` };
  return spawnSync(join(examples, 'plan-comment.sh'), ['manifests', '--offline'], { encoding: 'utf8', env });
}

test('the comment of a pull request has the plan, and only a plan that fails makes the script fail', () => {
  const todo = comment('echo "$@"; echo "\\`\\`\\`"; exit 2');
  assert.deepEqual(
    [todo.status, todo.stdout],
    [0, '### Plan of the images: there is something to do\n\n    plan --filename manifests --offline\n    ```\n'],
  );
  const nothing = comment('exit 0');
  assert.equal(nothing.status, 0);
  assert.match(nothing.stdout, /^### Plan of the images: nothing to do\n/);
  const failed = comment('echo "glance-image-operator: no clouds.yaml" >&2; exit 1');
  assert.equal(failed.status, 1);
  assert.match(failed.stdout, /^### Plan of the images: it failed\n\n {4}glance-image-operator: no clouds\.yaml\n$/);
});

test('the example workflow runs the script with flags that plan has', () => {
  const step = z.looseObject({ name: z.string().optional(), run: z.string().optional() });
  const workflow = z
    .object({ jobs: z.object({ plan: z.object({ steps: z.array(step) }) }) })
    .parse(parse(readFileSync(join(examples, 'plan.yml'), 'utf8')));
  const run = workflow.jobs.plan.steps.find(({ name }) => name === 'Plan')?.run ?? '';
  assert.match(run, /examples\/ci\/plan-comment\.sh manifests/);
  const known = planCommand.flags.map(({ flag }) => flag);
  const used = [...run.matchAll(/ (--[a-z-]+)/g)].map(([, flag = '']) => flag);
  assert.ok(used.length > 0 && used.every((flag) => known.includes(flag)), used.join());
});
