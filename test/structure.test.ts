/**
 * The rules of the structure that a program can check.
 *
 * Invariant: imports between folders have one direction, code that touches the outside world is in known files, and
 * every file is short.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, test } from 'node:test';
import { fixedFields } from '../src/api/content.ts';
import { reasons } from '../src/api/reasons.ts';

const root = resolve(import.meta.dirname, '..');
const src = join(root, 'src');

/** Folders, or single files of others, that each folder may import, in addition to itself and lib. */
const allowed: Record<string, readonly string[]> = {
  lib: [],
  api: ['glance/property-names.ts'],
  http: [],
  controller: [],
  kubernetes: ['http'],
  openstack: ['http'],
  glance: ['openstack'],
  source: ['api', 'glance', 'openstack', 'http'],
  transfer: ['source', 'glance', 'openstack', 'http'],
  image: ['api', 'controller', 'kubernetes', 'transfer', 'source', 'glance', 'openstack'],
  commands: ['image', 'controller', 'kubernetes', 'api', 'transfer', 'source', 'glance', 'openstack', 'http'],
  library: ['glance', 'openstack', 'http'],
  generate: ['commands', 'image', 'controller', 'api'],
  'main.ts': ['commands'],
};

/** Where a mechanism lives, and the text by which a second implementation is recognised. */
const mechanisms: Record<string, { home: string; sign: RegExp }> = {
  'session pool': { home: 'openstack/pool.ts', sign: /(?<!function )\b(?:createSession|parseCloud)\(/ },
  'reader of Secrets': { home: 'kubernetes/secret.ts', sign: /\.get\(secretType\b/ },
};

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const imports: Import[] = files.flatMap((file) => importsOf(file));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), 'utf8');
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?(?:([^'";]*?)\sfrom\s)?'([^']+)'/gm);
  return [...statements].map(([, type, names = '', target = '']) => ({
    from: file,
    to: target.startsWith('.') ? relative(src, resolve(src, dirname(file), target)) : target,
    typeOnly: type !== undefined || isTypesOnly(names),
  }));
}

/** `{ type A, type B }` imports no values either. */
function isTypesOnly(names: string): boolean {
  const inner = /^\{([^}]*)\}$/.exec(names.trim())?.[1];
  return inner?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

function folderOf(file: string): string {
  return file.split('/')[0] ?? file;
}

function offenders(text: RegExp, exceptions: readonly string[]): string[] {
  return files.filter((file) => !exceptions.includes(file) && text.test(readFileSync(join(src, file), 'utf8')));
}

describe('the structure of the source', () => {
  test('arrows between folders point one way', () => {
    const wrong = imports
      .filter(({ to }) => to.endsWith('.ts'))
      .filter(({ from, to }) => {
        const [a, b] = [folderOf(from), folderOf(to)];
        const may = allowed[a] ?? [];
        return a !== b && b !== 'lib' && !may.includes(b) && !may.includes(to);
      });
    assert.deepEqual(wrong, []);
  });

  test('the scan of imports finds known imports', () => {
    assert.ok(imports.some(({ from, to }) => from === 'commands/run.ts' && to === 'image/reconcile.ts'));
  });

  test('every folder of the source has its rule', () => {
    assert.deepEqual(
      [...new Set(files.map(folderOf))].filter((folder) => !(folder in allowed)),
      [],
    );
  });

  test('no file imports itself through others', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to, typeOnly } of imports) {
      if (to.endsWith('.ts') && !typeOnly) edges.set(from, [...(edges.get(from) ?? []), to]);
    }
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      assert.ok(!path.includes(file), `a circle: ${[...path, file].join(' → ')}`);
      if (done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
  });

  test('only the registry and the files of the kinds name a kind of source', () => {
    const kind = `(?:${Object.keys(fixedFields).join('|')})`;
    // `source.kind` of a plan, `content.<kind>` of a declaration, and the same taken apart.
    const named = new RegExp(
      `\\bkind\\b.*'${kind}'|\\bcase '${kind}'|\\bcontent\\??\\.${kind}\\b|[{,] ${kind}\\b[^:]*\\} =`,
    );
    const homes = /^(?:api\/(?:content\.ts|sources\/)|source\/(?:registry\.ts|kinds\/))/;
    // Remedies are prose that names fields.
    const exceptions = ['api/remedies.ts'];
    assert.deepEqual(
      offenders(named, exceptions).filter((file) => !homes.test(file)),
      [],
    );
    for (const each of Object.keys(fixedFields))
      assert.ok(named.test(`case '${each}'`) && files.includes(`source/kinds/${each}.ts`), each);
  });

  test('only the kubeconfig module imports values of the Kubernetes client package', () => {
    const users = imports
      .filter(({ to, typeOnly }) => to === '@kubernetes/client-node' && !typeOnly)
      .map(({ from }) => from);
    assert.deepEqual(
      users.filter((file) => file !== 'kubernetes/kubeconfig.ts'),
      [],
    );
  });

  test('only transports import values of undici', () => {
    const users = imports.filter(({ to, typeOnly }) => to === 'undici' && !typeOnly).map(({ from }) => from);
    assert.deepEqual(
      users.filter((file) => !file.endsWith('/transport.ts')),
      [],
    );
  });

  test('each mechanism has one implementation', () => {
    const elsewhere = Object.entries(mechanisms).flatMap(([name, { home, sign }]) =>
      offenders(sign, [home]).map((file) => `${file}: the ${name} is ${home}`),
    );
    assert.deepEqual(elsewhere, []);
    const absent = Object.values(mechanisms).filter(
      ({ home, sign }) => !sign.test(readFileSync(join(src, home), 'utf8')),
    );
    assert.deepEqual(absent, []);
  });

  test('only the clock touches timers and the time of day', () => {
    const timers = /\bset(Timeout|Interval|Immediate)\(|node:timers|\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/;
    assert.deepEqual(offenders(timers, ['lib/clock.ts']), []);
  });

  test('no file has more than 400 lines, and each opens with a header', () => {
    const lines = (file: string) => readFileSync(join(src, file), 'utf8').split('\n');
    assert.deepEqual(
      files.filter((file) => lines(file).length > 400),
      [],
    );
    assert.deepEqual(
      files.filter(
        (file) =>
          !lines(file)
            .find((line) => !line.startsWith('#!'))
            ?.startsWith('/**'),
      ),
      [],
    );
  });

  test('every documented reason is used in the source', () => {
    const texts = files
      .filter((file) => file !== 'api/reasons.ts' && file !== 'api/remedies.ts')
      .map((file) => readFileSync(join(src, file), 'utf8'));
    const given = (reason: string) => texts.some((text) => text.includes(`'${reason}'`));
    assert.deepEqual(
      Object.keys(reasons).filter((reason) => !given(reason)),
      [],
    );
  });

  test('no test or benchmark has more than 400 lines', () => {
    const others = ['test', 'bench', 'charts'].flatMap((folder) => {
      try {
        return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file));
      } catch {
        return [];
      }
    });
    const long = others
      .filter((file) => /\.m?ts$/.test(file))
      .filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 401);
    assert.deepEqual(long, []);
  });
});
