/** The scripts for Argo CD are files and on a page. Invariant: both texts are equal. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { group, kind } from '../../src/api/group.ts';
import { customizations, healthScript } from './judge.ts';
import { yamlBlocks } from './pages.ts';

describe('the page about Argo CD', () => {
  test('the page shows the health script that is tested', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/argo-cd.md'), 'utf8');
    const entry = `resource.customizations.health.${group}_${kind}`;
    const configMap = z.object({ kind: z.literal('ConfigMap'), data: z.object({ [entry]: z.string() }) });
    const shown = yamlBlocks(page).flatMap((object) => configMap.safeParse(object).data?.data[entry] ?? []);
    assert.deepEqual(shown, [healthScript]);
  });

  test('the page shows the actions that are tested', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/argo-cd.md'), 'utf8');
    const entry = `resource.customizations.actions.${group}_${kind}`;
    const configMap = z.object({ kind: z.literal('ConfigMap'), data: z.object({ [entry]: z.string() }) });
    const shown = yamlBlocks(page).flatMap((object) => configMap.safeParse(object).data?.data[entry] ?? []);
    const read = (file: string) => readFileSync(join(customizations, 'actions', file), 'utf8');
    const definitions = ['reconcile', 'resume', 'suspend'].map((name) => ({
      name,
      'action.lua': read(`${name}/action.lua`),
    }));
    assert.deepEqual(
      shown.map((text) => parse(text)),
      [{ 'discovery.lua': read('discovery.lua'), definitions }],
    );
  });
});
