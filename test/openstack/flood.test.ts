/**
 * A hostile cloud floods every field of every response. The program runs with a heap of 128 MiB, which one parsed flood would
 * fill several times.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { z } from 'zod';
import { operations } from '../../src/openstack/services.ts';
import { endpoints, floods } from './flood-cases.ts';

const src = join(import.meta.dirname, '../../src');
const result = z.object({
  endpoint: z.string(),
  field: z.string().default(''),
  kind: z.string(),
  status: z.number().default(200),
  message: z.string(),
  sent: z.array(z.string()).default([]),
});
const last = z.object({ origin: z.url() });

const isOptional = (name: string) => endpoints.some((each) => each.name === name && each.optional === true);

/** Schemas of what no cloud sends. */
const others = new Set([
  'openstack/clouds.ts',
  'openstack/clouds-settings.ts',
  'openstack/clouds-tls.ts',
  'openstack/services.ts',
]);

describe('a cloud that floods its responses', () => {
  let results: z.infer<typeof result>[];
  let host: string;

  before(async () => {
    const program = join(import.meta.dirname, 'flood-process.ts');
    const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=128', program], {
      maxBuffer: 64 * 2 ** 20,
    });
    const lines = stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    host = new URL(last.parse(lines.pop()).origin).host;
    results = lines.map((line) => result.parse(line));
  });

  test('a flood never ends the process, in any field of any response', () => {
    for (const { name } of endpoints) {
      const ofOne = results.filter(({ endpoint }) => endpoint === name);
      assert.ok(ofOne.length > Object.keys(floods).length, name);
    }
  });

  test('an honest response is accepted by every operation that is flooded', () => {
    const honest = results.filter(({ kind }) => kind === 'honest');
    assert.deepEqual(
      honest.filter(({ message }) => message !== 'accepted'),
      [],
    );
    assert.equal(honest.length, endpoints.length);
  });

  test('every request is flooded whose response is parsed', () => {
    const honest = new Map(
      results.flatMap(({ endpoint, kind, sent }) => (kind === 'honest' ? [[endpoint, sent]] : [])),
    );
    for (const { name, operation } of endpoints) assert.ok(honest.get(name)?.includes(operation), name);
    const flooded = new Set<string>(endpoints.map(({ operation }) => operation));
    const all = Object.entries(operations).flatMap(([service, names]) => names.map((name) => `${service}.${name}`));
    assert.deepEqual(
      all.filter((operation) => !flooded.has(operation)),
      // Data, and a list that is read as the one of Glance.
      ['image.download', 'key-manager.versions', 'key-manager.readPayload'],
    );
  });

  test('the error of a flood names the host, the limit and its value', () => {
    const counted = results.filter(
      ({ endpoint, kind, status }) => !isOptional(endpoint) && kind !== 'honest' && kind !== 'text' && status < 400,
    );
    const limit = /(larger than \d+ bytes|more than \d+ values|more than \d+ levels deep), which is the limit/;
    assert.deepEqual(
      counted.filter(({ message }) => !limit.test(message) || !message.includes(host)),
      [],
    );
  });

  test('a long text in a field is rejected or kept short, and its error stays short', () => {
    const texts = results.filter(({ kind }) => kind === 'text');
    assert.deepEqual(
      texts.filter(({ message }) => message.length > 1000),
      [],
    );
  });

  test('a flood as an error response is an error with its status', () => {
    const errors = results.filter(({ status }) => status === 400);
    assert.equal(errors.length, endpoints.length);
    assert.deepEqual(
      errors.filter(
        ({ message, endpoint }) => !/400/.test(message) && !endpoint.startsWith('versions') && !isOptional(endpoint),
      ),
      [],
    );
  });
});

test('every schema of a response of a cloud is flooded', () => {
  const flooded = new Set(endpoints.flatMap(({ schemas }) => schemas));
  const withSchema = ['openstack', 'glance'].flatMap((folder) =>
    readdirSync(join(src, folder), { recursive: true, encoding: 'utf8' })
      .map((file) => join(folder, file))
      .filter(
        (file) =>
          file.endsWith('.ts') && /safeParse\(|\bz\.object\(|listIn\(/.test(readFileSync(join(src, file), 'utf8')),
      ),
  );
  assert.deepEqual(
    withSchema.filter((file) => !flooded.has(file) && !others.has(file)),
    [],
  );
});
