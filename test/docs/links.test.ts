/** What the pages refer to exists: files, headings, reasons, flags, fields, metrics, values of the chart. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { z } from 'zod';
import { reasons } from '../../src/api/reasons.ts';
import { describeSettings } from '../../src/commands/config.ts';
import { commandsForPeople } from '../../src/commands/people.ts';
import { runSettings, transferSettings } from '../../src/commands/settings.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import type { StructuralSchema } from '../../src/generate/structural.ts';
import { describeMetrics, emptyRegistry } from '../../src/generate/tables.ts';
import { markProperties } from '../../src/image/model/identity.ts';
import { readPages, root, withoutBlocks } from './pages.ts';

const pages = readPages();
const flags = new Set(
  [...[runSettings, transferSettings].flatMap(describeSettings), ...commandsForPeople.flatMap((one) => one.flags)].map(
    ({ flag }) => flag.slice(2),
  ),
);
/** Flags of other programs that the pages name outside of blocks. */
const foreignFlags = new Set(
  'help from-file os-cloud project recursive previous take-ownership force-conflicts reset-then-reuse-values values subresource feature-gates max-semi-space-size set role custom-resource-state-config-file'.split(
    ' ',
  ),
);

/** Headings as GitHub makes anchors of them, and anchors that are set by hand. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ +(.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  const byHand = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id);
  return new Set([...headings, ...byHand]);
}

const [version] = customResourceDefinition().spec.versions;

/** Whether the resource has this field; below a map of any JSON there is every field. */
function isField(path: string): boolean {
  let schema: StructuralSchema | undefined = version?.schema.openAPIV3Schema;
  for (const name of path.replaceAll('[]', '').split('.')) {
    if (schema?.additionalProperties !== undefined) return true;
    schema = (schema?.items ?? schema)?.properties?.[name];
  }
  return schema !== undefined;
}

const values: unknown = parse(readFileSync(join(root, 'charts/glance-image-operator/values.yaml'), 'utf8'));

/** Settings are a map in values.yaml, with the flags of the program as keys. */
function isValue(path: string): boolean {
  const [first = '', ...rest] = path.split('.');
  if (first === 'settings') return rest.length === 1 && Object.hasOwn(runSettings, rest[0] ?? '');
  let at = values;
  for (const name of [first, ...rest]) {
    const object = z.looseObject({}).safeParse(at);
    if (!object.success || !Object.hasOwn(object.data, name)) return false;
    at = object.data[name];
  }
  return true;
}

const metrics = new Set((await describeMetrics(emptyRegistry())).map(({ name }) => name));
const marks = new Set(markProperties);

describe('the pages', () => {
  for (const { file, text } of pages) {
    test(`${file}: every link has a target`, () => {
      for (const [, target = ''] of withoutBlocks(text).matchAll(/\]\(([^)\s]+)[^)]*\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = '', anchor] = target.split('#');
        const to = path === '' ? file : normalize(join(dirname(file), path));
        assert.ok(existsSync(join(root, to)), `${target}: there is no ${to}`);
        if (anchor === undefined || statSync(join(root, to)).isDirectory()) continue;
        assert.ok(anchorsOf(readFileSync(join(root, to), 'utf8')).has(anchor), `${target}: ${to} has no such heading`);
      }
    });

    test(`${file}: every reason and every flag exists`, () => {
      for (const [, flag = ''] of withoutBlocks(text).matchAll(/`--([a-z][a-z-]+)[`= ]/g)) {
        assert.ok(flags.has(flag) || foreignFlags.has(flag), `--${flag}`);
      }
      for (const [, reason = ''] of withoutBlocks(text).matchAll(
        /`(Source[A-Z]\w+|Digest\w+|Format\w+|Compression[A-Z]\w+)`/g,
      )) {
        assert.ok(Object.hasOwn(reasons, reason), reason);
      }
    });
  }

  for (const { file, text } of pages) {
    test(`${file}: every field and every metric exists`, () => {
      for (const [, path = ''] of withoutBlocks(text).matchAll(/`((?:spec|status)\.\w[\w.[\]]*)/g)) {
        assert.ok(isField(path), path);
      }
      for (const [, name = ''] of withoutBlocks(text).matchAll(
        /`((?:glance_image_operator|controller_runtime|workqueue|watch)_\w+)/g,
      )) {
        assert.ok(metrics.has(name) || marks.has(name), name);
      }
    });
  }

  for (const { file, text } of pages) {
    test(`${file}: every value of the chart exists`, () => {
      for (const [, path = ''] of withoutBlocks(text).matchAll(
        /`((?:crds|rbac|settings|metrics|networkPolicy|probes)(?:\.\w+)+)/g,
      )) {
        assert.ok(isValue(path), path);
      }
    });
  }

  test('the table of symptoms leads to every section on troubleshooting, and each reason in it exists', () => {
    const text = pages.find(({ file }) => file === 'docs/how-to/troubleshoot.md')?.text ?? '';
    const table = text.split('\n## ')[0] ?? '';
    const sections = [...text.matchAll(/^## (.+)$/gm)].flatMap(([heading]) => [...anchorsOf(heading)]);
    assert.deepEqual(
      sections.filter((anchor) => !table.includes(`](#${anchor})`)),
      [],
    );
    const named = [...table.matchAll(/`([A-Z][a-z]+[A-Z]\w+)`/g)].map(([, name = '']) => name);
    assert.ok(named.length > 5);
    for (const name of named) assert.ok(Object.hasOwn(reasons, name) || name === 'ValidatingAdmissionPolicy', name);
  });

  test('every page of docs/ is found from the index', () => {
    const reachable = new Set<string>();
    const visit = (file: string) => {
      if (reachable.has(file)) return;
      reachable.add(file);
      const text = pages.find((page) => page.file === file)?.text ?? '';
      for (const [, target = ''] of withoutBlocks(text).matchAll(/\]\(([^)#\s]+)/g))
        if (!/^[a-z]+:/.test(target)) visit(normalize(join(dirname(file), target)));
    };
    visit('docs/README.md');
    const lost = pages.map(({ file }) => file).filter((file) => file.startsWith('docs/') && !reachable.has(file));
    assert.deepEqual(lost, []);
  });
});
