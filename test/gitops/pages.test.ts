/** The health script is in the chart and on a page. Invariant: both texts are equal. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { group, kind } from '../../src/api/group.ts';
import { healthScript } from './judge.ts';
import { yamlBlocks } from './pages.ts';

describe('the page about Argo CD', () => {
  test('the page shows the health script of the chart', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/how-to/argo-cd.md'), 'utf8');
    const entry = `resource.customizations.health.${group}_${kind}`;
    const configMap = z.object({ kind: z.literal('ConfigMap'), data: z.object({ [entry]: z.string() }) });
    const shown = yamlBlocks(page).flatMap((object) => configMap.safeParse(object).data?.data[entry] ?? []);
    assert.deepEqual(shown, [healthScript]);
  });
});
