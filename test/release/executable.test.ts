/** The program as one executable: built by its script, started alone, and under kubectl. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { compress } from '@napi-rs/lzma/xz';
import packageJson from '../../package.json' with { type: 'json' };
import { makeExecutable } from '../../release/executable/executable.ts';
import { digestOf, generated } from '../env/content.ts';
import { folders } from '../env/parts.mjs';
import { type Ended, start } from '../transfer/program.ts';
import { useScene } from '../transfer/real.ts';

const material = (name: string) => join(import.meta.dirname, '../source/openpgp/material', name);
const allow = ['--source-allow', '127.0.0.0/8', '--cloud-allow', '127.0.0.0/8'];

describe('one executable', () => {
  const scene = useScene();
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-executable-'));
    await makeExecutable(join(folder, 'program'));
  });
  after(() => rmSync(folder, { recursive: true }));

  const run = (args: readonly string[], options: Parameters<typeof start>[2] = {}): Promise<Ended> =>
    start({ command: [join(folder, 'program/glance-image-operator')] }, args, options).ended;
  const file = (name: string, body: string | Uint8Array) => {
    writeFileSync(join(folder, name), body);
    return join(folder, name);
  };

  test('the executable runs without a Node in PATH, and prints its version', async () => {
    const { code, stdout, stderr } = await run(['version'], { env: { PATH: '/nowhere', NODE_OPTIONS: '--no-such' } });
    assert.deepEqual([code, stdout, stderr], [0, `${packageJson.version}\n`, '']);
  });

  test('kubectl runs the executable as its plugin glanceimage', async () => {
    const PATH = [join(folder, 'program'), process.env['PATH']].join(delimiter);
    const kubectl = { command: [join(folders.tools, 'kubectl')] } as const;
    const help = await start(kubectl, ['glanceimage', 'plan', '--help'], { env: { PATH } }).ended;
    assert.equal(help.code, 0, help.stderr);
    assert.match(help.stdout, /^Usage: kubectl glanceimage plan \[NAME\]/m);
    const kubeconfig = scene().stack.kubernetes.kubeconfig();
    const list = await start(
      kubectl,
      ['glanceimage', 'status', '-n', 'empty', '-o', 'json', '--kubeconfig', kubeconfig],
      {
        env: { PATH },
      },
    ).ended;
    assert.equal(list.code, 0, list.stderr);
    assert.deepEqual(JSON.parse(list.stdout), { resources: [] });
  });

  test('the executable decodes xz on a transfer thread of its own, and leaves no file behind', async () => {
    const { source, path, plan, project, access } = scene();
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    const bytes = generated(300_000).slice(0, 300_000);
    const body = await compress(bytes);
    const wanted = await plan({ url: source.add(path(), { body }), digest: `sha256:${digestOf(body)}` });
    const env = { OS_CLIENT_CONFIG_FILE: file('clouds.yaml', access.cloud.cloudsYaml), TMPDIR: temporary };
    const { code, stdout, stderr } = await run(['transfer', ...allow, '-'], { stdin: JSON.stringify(wanted), env });
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).compression, 'xz');
    assert.equal((await project.getImage(wanted.imageID)).size, bytes.length);
    assert.deepEqual(readdirSync(temporary), []);
  });

  test('the executable verifies signatures with the OpenPGP.js next to it, and names the folder if it is missing', async () => {
    const sums = readFileSync(material('SHA256SUMS'));
    const [, name = ''] = /^[0-9a-f]{64} [ *](\S+)$/m.exec(sums.toString()) ?? [];
    const { source } = scene();
    const list = source.add('/signed/SHA256SUMS', { body: sums });
    const signature = source.add('/signed/SHA256SUMS.gpg', { body: readFileSync(material('SHA256SUMS.gpg')) });
    const keys = ['--checksums', list, '--signature', signature, '--keys', material('release.key.asc')];
    const verify = ['verify', file(name, 'x'), ...keys, '--format', 'raw', '--output', 'json', ...allow];
    // The digest in the list is that of another file.
    const { code, stdout, stderr } = await run(verify);
    assert.equal(code, 2, stderr);
    assert.match(stdout, /"signedBy": "[0-9A-F]{40}/);
    const library = join(folder, 'program/openpgp');
    renameSync(library, `${library}.away`);
    const without = await run(verify);
    renameSync(`${library}.away`, library);
    assert.deepEqual([without.code, without.stdout], [1, '']);
    assert.ok(without.stderr.includes(`OpenPGP.js, which cannot be loaded from ${library}: unpack`), without.stderr);
  });

  test('the executable comes with the licences of all that is in it, and with that of OpenPGP.js, which is not in it', () => {
    const licences = readFileSync(join(folder, 'program/LICENSES'), 'utf8');
    for (const name of ['commander', '@napi-rs/lzma', 'undici', 'openpgp'])
      assert.match(licences, new RegExp(`^${name} \\d`, 'm'));
    assert.match(licences, /^ *GNU LESSER GENERAL PUBLIC LICENSE$/m);
    assert.match(readFileSync(join(folder, 'program/openpgp/LICENSE'), 'utf8'), /GNU LESSER GENERAL PUBLIC LICENSE/);
    const part = 'class SymEncryptedIntegrityProtectedDataPacket';
    assert.ok(readFileSync(join(folder, 'program/openpgp/dist/node/openpgp.mjs'), 'latin1').includes(part));
    assert.ok(!readFileSync(join(folder, 'program/glance-image-operator')).includes(part));
  });
});
