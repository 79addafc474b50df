import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { abandonAnnotation, reconcileAtAnnotation } from '../../src/api/group.ts';
import { customResourceDefinition } from '../../src/generate/crd.ts';
import { referencePage } from '../../src/generate/reference-page.ts';

const objectSchema = z.looseObject({});

/** Every text under one of these keys, however deep; not found in the way in which the page finds it. */
function* textsOf(value: unknown, keys: readonly string[]): Generator<string> {
  if (Array.isArray(value)) for (const each of value) yield* textsOf(each, keys);
  const object = objectSchema.safeParse(value);
  if (Array.isArray(value) || !object.success) return;
  for (const [key, each] of Object.entries(object.data)) {
    if (keys.includes(key) && typeof each === 'string') yield each;
    else yield* textsOf(each, keys);
  }
}

describe('the page of the resource', () => {
  const page = referencePage();
  const [version] = customResourceDefinition().spec.versions;
  const { spec, status } = version?.schema.openAPIV3Schema.properties ?? {};

  test('describes every field of spec and status, but for the entries of lists, which their list describes', () => {
    const texts = [...textsOf([spec?.properties, status?.properties], ['description'])];
    assert.ok(texts.length > 80);
    const meaning = (text: string) => text.replace(/ Default: .*$/, '').replaceAll('|', '\\|');
    const missing = texts.filter((text) => !page.includes(meaning(text)));
    assert.deepEqual(
      missing.filter(
        (text) =>
          text !== 'One condition.' &&
          !text.startsWith('Not allowed:') &&
          !/^URL of the same file on another server\.$/.test(text),
      ),
      [],
    );
  });

  test('the reference page has the message of every rule, with its addresses as code, so that a placeholder shows', () => {
    const sentences = [...textsOf(version?.schema, ['message'])];
    assert.ok(sentences.length > 10);
    assert.deepEqual(
      sentences.filter((sentence) => !page.includes(sentence.replace(/https?:\/\/\S+/g, '`$&`'))),
      [],
    );
  });

  test('the reference page has every column and annotation, and says which fields are required, bounded or defaulted', () => {
    for (const { jsonPath } of version?.additionalPrinterColumns ?? []) assert.ok(page.includes(jsonPath), jsonPath);
    for (const name of [reconcileAtAnnotation, abandonAnnotation]) assert.ok(page.includes(`\`${name}\``), name);
    assert.match(page, /`spec\.cloud\.name` \| text, 1 to 255 characters; \*\*required\*\* \|/);
    assert.match(page, /`spec\.import\.id` \| text, exactly 36 characters \|/);
    assert.match(page, /`spec\.interval` \| text, 1 to 32 characters \| `10m` \|/);
    assert.match(page, /`spec\.image\.owner` \| text, 1 to 255 characters \| the project of the credentials \|/);
    assert.match(page, /`spec\.content\.method` \| `Upload`, `Stage`, `WebDownload` \| `Upload` \|/);
    assert.match(page, /`status\.lastError\.httpStatus` \| integer, 100 to 999 \|/);
  });
});
