/** The health check and the actions for Argo CD, by the tests in the layout of Argo CD's own resource_customizations. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseGlanceImage } from '../../src/api/glanceimage.ts';
import { isReason } from '../../src/api/reasons.ts';
import { act, customizations, judge } from './judge.ts';

const read = (file: string) => readFileSync(join(customizations, file), 'utf8');
const object = (file: string): unknown => parse(read(file));

const inputPath = z.string();
const healthStatus = z.strictObject({ status: z.string(), message: z.string() });
const healthTests = z
  .strictObject({ tests: z.array(z.strictObject({ healthStatus, inputPath })) })
  .parse(object('health_test.yaml')).tests;
const discovered = z.strictObject({ name: z.string(), disabled: z.boolean() });
const actionTests = z
  .strictObject({
    discoveryTests: z.array(z.strictObject({ inputPath, result: z.array(discovered) })),
    actionTests: z.array(z.strictObject({ action: z.string(), inputPath, expectedOutputPath: z.string() })),
  })
  .parse(object('actions/action_test.yaml'));

describe('the resource customizations for Argo CD', () => {
  for (const { healthStatus: expected, inputPath: file } of healthTests) {
    test(`the health of ${file} is ${expected.status}`, async () => {
      const [judged] = await judge([object(file)]);
      assert.deepEqual(judged?.argo, expected);
    });
  }

  test('the tests of the health check reach every health that the script returns', () => {
    const returned = [...read('health.lua').matchAll(/status = "(\w+)"/g)].map(([, status]) => status);
    assert.deepEqual(new Set(healthTests.map(({ healthStatus: { status } }) => status)), new Set(returned));
  });

  for (const { inputPath: file, result } of actionTests.discoveryTests) {
    test(`the actions of ${file} are enabled where they have an effect`, async () => {
      const found = z
        .record(z.string(), z.strictObject({ disabled: z.boolean() }))
        .parse(await act(read('actions/discovery.lua'), object(join('actions', file))));
      const names = Object.entries(found).map(([name, { disabled }]) => ({ name, disabled }));
      assert.deepEqual(
        names.sort((a, b) => a.name.localeCompare(b.name)),
        result,
      );
    });
  }

  for (const { action, inputPath: from, expectedOutputPath: to } of actionTests.actionTests) {
    test(`the action ${action} turns ${from} into ${to}`, async () => {
      const result = await act(read(`actions/${action}/action.lua`), object(join('actions', from)));
      assert.deepEqual(result, object(join('actions', to)));
    });
  }

  test('every action has a test', () => {
    const names = globSync('actions/*/action.lua', { cwd: customizations }).map((file) => file.split('/')[1]);
    assert.deepEqual(new Set(actionTests.actionTests.map(({ action }) => action)), new Set(names));
  });

  test('the objects of the tests are GlanceImages with reasons that exist', () => {
    for (const file of globSync('**/testdata/*.yaml', { cwd: customizations })) {
      const { status } = parseGlanceImage(object(file));
      for (const { reason } of status.conditions ?? []) assert.ok(isReason(reason), `${file}: ${reason}`);
    }
  });
});
