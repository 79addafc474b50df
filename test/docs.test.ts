/** What the pages show, a reader will copy. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { reasons } from '../src/api/reasons.ts';
import { specSchema } from '../src/api/spec.ts';
import { runSettings } from '../src/commands/settings.ts';
import { TransferPlan } from '../src/transfer/plan.ts';

const root = resolve(import.meta.dirname, '..');
const pages = ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: root })].map((file) => ({
  file,
  text: readFileSync(join(root, file), 'utf8'),
}));

function blocks(text: string, language: string): string[] {
  return [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, block = '']) => block);
}

const manifest = z.looseObject({ kind: z.string(), spec: z.unknown() });

describe('the pages', () => {
  for (const { file, text } of pages) {
    test(`${file}: every manifest and every plan is one that is accepted`, () => {
      for (const block of blocks(text, 'yaml')) {
        const parsed = manifest.safeParse(parse(block));
        if (parsed.success && parsed.data.kind === 'GlanceImage') specSchema.parse(parsed.data.spec);
      }
      for (const block of blocks(text, 'json')) TransferPlan.parse(JSON.parse(block));
    });

    test(`${file}: every link leads to a file`, () => {
      for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (!/^https?:/.test(target)) assert.ok(existsSync(join(root, dirname(file), target)), target);
      }
    });

    test(`${file}: every reason and every flag exists`, () => {
      const flags = new Set(Object.keys(runSettings).map((key) => key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)));
      for (const [, flag = ''] of text.matchAll(/`--([a-z][a-z-]+)[`=]/g)) {
        if (flag !== 'help') assert.ok(flags.has(flag), `--${flag}`);
      }
      for (const [, reason = ''] of text.matchAll(/`(Source[A-Z]\w+|Digest\w+|Format\w+|Compression[A-Z]\w+)`/g)) {
        assert.ok(Object.hasOwn(reasons, reason), reason);
      }
    });
  }
});
