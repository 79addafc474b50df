/**
 * The rules of the structure that a program can check.
 *
 * Invariant: imports between folders have one direction, code that touches the outside world is in known files, and
 * every file is short.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { sourceKinds } from '../src/api/content.ts';
import { reasons } from '../src/api/reasons.ts';
import { gates } from './structure-gates.ts';
import { circle, files, folderOf, imports, innerFolderOf, root, textOf } from './structure-imports.ts';

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
  jobs: ['transfer', 'kubernetes', 'glance', 'openstack', 'http'],
  image: ['api', 'controller', 'kubernetes', 'transfer', 'source', 'glance', 'openstack'],
  commands: ['image', 'jobs', 'controller', 'kubernetes', 'api', 'transfer', 'source', 'glance', 'openstack', 'http'],
  library: ['glance', 'openstack', 'http'],
  generate: [
    'commands',
    'image',
    'controller',
    'kubernetes',
    'api',
    'transfer',
    'source',
    'glance',
    'openstack',
    'http',
  ],
  'main.ts': ['commands'],
};

/** The folders of src/image that each of them may import: from what is known and decided to what acts on it. */
const allowedInImage: Record<string, readonly string[]> = {
  model: [],
  plan: ['model'],
  publishers: ['model'],
  access: ['model'],
  observe: ['model', 'access'],
  status: ['model', 'publishers'],
  metrics: ['status'],
  perform: ['model', 'plan', 'access', 'observe', 'status'],
  reconcile: ['model', 'plan', 'publishers', 'access', 'observe', 'status', 'perform'],
  ahead: ['model', 'plan', 'publishers', 'access', 'perform', 'reconcile'],
};

/** The one implementation of each mechanism, and the text by which a second one is recognised. */
const mechanisms: Record<string, { home: string; sign: RegExp }> = {
  'exponential backoff': {
    home: 'lib/backoff.ts',
    sign: /\w \*\* \(?[a-z]|[mM]s \*=? [2-9]\b|Math\.pow\(|(?:delay|backoff|wait)\w* (?:\*=|<<)/i,
  },
  'bounded map': {
    home: 'lib/bounded-map.ts',
    sign: /\[(?:oldest|eldest)\] = |\.keys\(\)\.next\(\)|\bsize (?:>=?|<=) [^\n]*(?:\n[^\n]*){0,2}\.delete\(/,
  },
  'signal that follows another': {
    home: 'lib/abort.ts',
    sign: /\.abort\((?:\w+\??\.)+reason\)|new AbortController\([\s\S]*addEventListener\('abort'/,
  },
  'signal that never aborts': {
    home: 'lib/abort.ts',
    sign: /new AbortController\(\)\.signal|\{ signal \} = new AbortController\(\)/,
  },
  'bounded read of a body': {
    home: 'http/body.ts',
    sign: /for await \([\s\S]{0,300}(?:length|size|bytes) \+= [\s\S]{0,300}(?:chunks|pieces|parts)\.push\(/,
  },
  'hold-back of the last chunk': {
    home: 'http/body.ts',
    sign: /\byield held\b|\byield (\w+);(?:[\s\S]{0,80})\n\s*\1 = (?:chunk|next|piece)\b/,
  },
  'idle timeout': {
    home: 'http/idle-timeout.ts',
    sign: /for await \([\s\S]*\.schedule\(|\.schedule\([\s\S]*for await \(/,
  },
  'consent of an owner': { home: 'lib/allow-list.ts', sign: /has no annotation/ },
  'rule for redirects': { home: 'http/redirects.ts', sign: /\b30[12378]\b[^\n]*\b30[12378]\b/ },
  'reader of PEM certificates': { home: 'http/pem.ts', sign: /BEGIN CERTIFICATE-----'|CERTIFICATE-----\// },
  'trust of TLS': { home: 'http/trust.ts', sign: /\b(?:createSecureContext|getCACertificates)\(/ },
  'set of address rules': { home: 'http/address-rules.ts', sign: /new BlockList\(/ },
  'fair queue': { home: 'lib/fair-queue.ts', sign: /\bnextRound\b|\b(?:move|rotate)\w*ToEnd\(/i },
  'write fence': { home: 'http/fence.ts', sign: /\bAtomics\.[\s\S]*LeadershipLost|LeadershipLost[\s\S]*\bAtomics\./ },
  'session pool': { home: 'openstack/pool.ts', sign: /(?<!function )\b(?:createSession|parseCloud)\(/ },
  'reader of Secrets': { home: 'kubernetes/secret.ts', sign: /\.get\(secretType\b|kind: 'Secret'/ },
};

/** Names that two files export on purpose, each with the reason. */
const sharedNames: Readonly<Record<string, string>> = {};

const isTableOfReasons = /^api\/reason(?:s|-entry|s-cloud|s-data|s-import|s-publisher)\.ts$/;

/** Files that may be short and have one importer: entries of threads and scripts, and kinds of source. */
const mayBeShort = /^(?:transfer\/thread-main\.ts|generate\/generated?\.ts|api\/sources\/|source\/kinds\/)/;

function offenders(text: RegExp, exceptions: readonly string[]): string[] {
  return files.filter((file) => !exceptions.includes(file) && text.test(textOf(file)));
}

/** The names that a file declares and exports. */
function exportsOf(file: string): string[] {
  const declarations =
    /^export (?:abstract |async |declare )*(?:class|const|enum|function\*?|interface|let|type) (\w+)/gm;
  return [...new Set([...textOf(file).matchAll(declarations)].map(([, name = '']) => name))];
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
    assert.ok(imports.some(({ from, to }) => from === 'commands/run.ts' && to === 'controller/supervisor.ts'));
  });

  test('every folder of the source has its rule', () => {
    assert.deepEqual(
      [...new Set(files.map(folderOf))].filter((folder) => !(folder in allowed)),
      [],
    );
  });

  test('arrows between the folders of src/image point one way', () => {
    const inside = imports.filter(({ from, to }) => folderOf(from) === 'image' && folderOf(to) === 'image');
    const wrong = inside.filter(({ from, to }) => {
      const [a = '', b = ''] = [innerFolderOf(from), innerFolderOf(to)];
      return a !== b && !allowedInImage[a]?.includes(b);
    });
    assert.deepEqual(wrong, []);
    for (const [folder, targets] of Object.entries(allowedInImage))
      for (const target of targets)
        assert.ok(
          inside.some(({ from, to }) => innerFolderOf(from) === folder && innerFolderOf(to) === target),
          `${folder} does not import ${target} any more`,
        );
    assert.equal(circle(new Map(Object.entries(allowedInImage))), undefined);
  });

  test('no folder inside a folder imports itself through others', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to } of imports) {
      const [a, b] = [innerFolderOf(from), innerFolderOf(to)];
      if (folderOf(from) !== folderOf(to) || a === undefined || b === undefined || a === b) continue;
      const [node, target] = [`${folderOf(from)}/${a}`, `${folderOf(to)}/${b}`];
      edges.set(node, [...(edges.get(node) ?? []), target]);
    }
    assert.equal(circle(edges), undefined);
  });

  test('no file imports itself through others, not even for a type', () => {
    const edges = new Map<string, string[]>();
    for (const { from, to } of imports) if (to.endsWith('.ts')) edges.set(from, [...(edges.get(from) ?? []), to]);
    assert.equal(circle(edges), undefined);
  });

  test('a circle of imports is found', () => {
    const edges = new Map([
      ['a', ['b', 'c']],
      ['b', ['c']],
      ['c', ['d']],
      ['d', ['b']],
    ]);
    assert.equal(circle(edges), 'b → c → d → b');
  });

  test('no file outside their folders imports the library or the generators', () => {
    const wrong = imports.filter(({ from, to }) =>
      ['library', 'generate'].some((folder) => folderOf(to) === folder && folderOf(from) !== folder),
    );
    assert.deepEqual(wrong, []);
  });

  test('no file of lib or http names a flag of a command', () => {
    const flag = /(?<![-\w])--[a-z]/;
    assert.deepEqual(
      offenders(flag, []).filter((file) => ['lib', 'http'].includes(folderOf(file))),
      [],
    );
    assert.ok(flag.test(textOf('commands/egress.ts')));
  });

  test('no two files export the same name, unless the reason is listed', () => {
    const homes = new Map<string, string[]>();
    for (const file of files) for (const name of exportsOf(file)) homes.set(name, [...(homes.get(name) ?? []), file]);
    const shared = [...homes].filter(([, { length }]) => length > 1);
    assert.deepEqual(
      shared.filter(([name]) => !Object.hasOwn(sharedNames, name)),
      [],
    );
    assert.deepEqual(
      Object.keys(sharedNames).filter((name) => !shared.some(([each]) => each === name)),
      [],
      'a listed name is not shared any more',
    );
    assert.ok(homes.has('createReconciler') && homes.has('SourceError'), 'exports are found');
  });

  test('no file of fewer than 40 lines has a single importer', () => {
    const short = files.filter((file) => {
      const importers = new Set(imports.filter(({ to }) => to === file).map(({ from }) => from));
      return importers.size <= 1 && textOf(file).split('\n').length <= 40;
    });
    assert.deepEqual(
      short.filter((file) => file !== 'main.ts' && !mayBeShort.test(file)),
      [],
    );
  });

  test('only the registry and the files of the kinds name a kind of source', () => {
    const kind = `(?:${sourceKinds.join('|')})`;
    // `source.kind` of a plan, `content.<kind>` of a declaration, and the same taken apart.
    const named = new RegExp(
      `\\bkind\\b.*'${kind}'|\\bcase '${kind}'|\\bcontent\\??\\.${kind}\\b|[{,] ${kind}\\b[^:]*\\} =`,
    );
    const homes = /^(?:api\/(?:content\.ts|sources\/)|source\/(?:registry\.ts|kinds\/))/;
    // Remedies are prose that names fields.
    const exceptions = files.filter((file) => isTableOfReasons.test(file));
    assert.deepEqual(
      offenders(named, exceptions).filter((file) => !homes.test(file)),
      [],
    );
    for (const each of sourceKinds)
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

  test('only transports and the way through a proxy import values of undici', () => {
    const users = imports.filter(({ to, typeOnly }) => to === 'undici' && !typeOnly).map(({ from }) => from);
    assert.deepEqual(
      users.filter((file) => !file.endsWith('/transport.ts') && file !== 'http/proxy.ts'),
      [],
    );
  });

  test('each mechanism has one implementation', () => {
    const elsewhere = Object.entries(mechanisms).flatMap(([name, { home, sign }]) =>
      offenders(sign, [home]).map((file) => `${file}: the ${name} is ${home}`),
    );
    assert.deepEqual(elsewhere, []);
    const absent = Object.values(mechanisms).filter(({ home, sign }) => !sign.test(textOf(home)));
    assert.deepEqual(absent, []);
  });

  test('every file that reaches the network, parses data of a peer or handles a secret is listed', () => {
    for (const [what, { sign, files: listed }] of Object.entries(gates))
      assert.deepEqual(offenders(sign, []).sort(), listed, what);
    for (const [what, { files: listed }] of Object.entries(gates)) assert.ok(listed.length > 0, what);
  });

  test('zod is imported as a namespace, because a bundle would hold its messages in all languages otherwise', () => {
    assert.deepEqual(offenders(/import (?:type )?\{[^}]*\} from 'zod'/, []), []);
  });

  test('every connector to sources and clouds has the trust of the installation', () => {
    const bare = offenders(/\bbuildConnector\(/, []).filter(
      (file) => !/\btrustingConnector\([\s\S]*\bbuildConnector\(/.test(textOf(file)),
    );
    assert.deepEqual(bare, []);
  });

  test('only transports make requests: nothing uses the HTTP clients of Node', () => {
    const clients = /\bglobalThis\.fetch\b|^import (?!type\b)[^;]*\b(?:request|get|Agent)\b[^;]*'node:https?'/m;
    assert.deepEqual(offenders(clients, []), []);
  });

  test('only the clock touches timers and the time of day', () => {
    const timers = /\bset(Timeout|Interval|Immediate)\(|node:timers|\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/;
    assert.deepEqual(offenders(timers, ['lib/clock.ts']), []);
  });

  test('no file has more than 400 lines, and each opens with a header', () => {
    const lines = (file: string) => textOf(file).split('\n');
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
    const texts = files.filter((file) => !isTableOfReasons.test(file)).map(textOf);
    const given = (reason: string) => texts.some((text) => text.includes(`'${reason}'`));
    assert.deepEqual(
      Object.keys(reasons).filter((reason) => !given(reason)),
      [],
    );
  });

  test('tests wait for events through one helper with one limit', () => {
    const waits = /\bAbortSignal\.timeout\((?!timeoutMs|deadlineMs|transferMs)|performance\.now\(\) (?:<|>|\+)/;
    // The first is the helper. The others measure, or last as long as they are meant to.
    const exceptions = ['env/wait.ts', 'env/processes.ts', 'operator/soak.ts', 'structure.test.ts'];
    const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' });
    const others = tests.filter((file) => file.endsWith('.ts') && !exceptions.includes(file));
    assert.deepEqual(
      others.filter((file) => waits.test(readFileSync(join(root, 'test', file), 'utf8'))),
      [],
    );
  });

  test('one reconcile, and the composition of the operator, are short enough to be read from top to bottom', () => {
    for (const file of ['image/reconcile/reconcile.ts', 'commands/run.ts'])
      assert.ok(textOf(file).split('\n').length <= 150, file);
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
