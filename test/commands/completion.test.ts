/** The completion of commands, flags, their values and the names of resources. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { completionCommand } from '../../src/commands/completion.ts';
import { candidates, candidatesCommand, commandsForPeople } from '../../src/commands/people.ts';
import { createVirtualClock } from '../clock.ts';
import { json, startServer, status, writeKubeconfig } from '../kubernetes/server.ts';
import { type Installed, install } from './installed.ts';
import { surroundings } from './surroundings.ts';

let installed: Installed;
before(() => {
  installed = install();
});
after(() => installed[Symbol.dispose]());

/** In virtual time: no deadline passes. */
function completed(...words: string[]) {
  return candidates(words, commandsForPeople, { ...surroundings(), clock: createVirtualClock() });
}

test('completion knows the commands, the flags of a command and the choices of a flag', async () => {
  assert.deepEqual(await completed('pl'), ['plan']);
  assert.ok((await completed('plan', '--o'))?.includes('--output'));
  assert.deepEqual(await completed('plan', '--output', ''), ['table', 'json', 'yaml']);
  assert.deepEqual(await completed('plan', '-o', 'j'), ['json']);
  assert.deepEqual(await completed('plan', '--output=j'), ['--output=json']);
  assert.deepEqual(await completed('hel'), ['help']);
  assert.deepEqual(await completed('help', 'pl'), ['plan']);
  assert.deepEqual(await completed('help', 'plan', ''), []);
  assert.deepEqual(await completed('export', '--deletion-policy', ''), ['Retain', 'Delete']);
  assert.deepEqual(await completed('completion', ''), ['bash', 'zsh', 'fish']);
  assert.deepEqual(await completed('completion', 'bash', ''), []);
});

test('completion offers files where a file can follow, and what only the user knows', async () => {
  for (const words of [
    ['plan', '--filename', 'x'],
    ['plan', '--filename=x'],
    ['export', '--cloud-proxy', ''],
    ['verify', ''],
    ['no-such-command', ''],
  ])
    assert.equal(await completed(...words), undefined, words.join(' '));
});

const named = (name: string) => ({ metadata: { name, namespace: 'images', uid: name, resourceVersion: '1' } });
const list = (names: readonly string[]) =>
  json(200, { kind: 'PartialObjectMetadataList', metadata: { resourceVersion: '9' }, items: names.map(named) });

test('the names of resources are completed from the cluster and the namespace that the line names', async (t) => {
  const server = await startServer(t, list(['debian-12', 'ubuntu-24.04', 'ubuntu-22.04', 'x; touch /tmp/y', '$(id)']));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  for (const command of ['plan', 'diff', 'status', 'rollback'])
    assert.deepEqual(
      await completed(command, '--kubeconfig', kubeconfig, 'ubuntu'),
      ['ubuntu-24.04', 'ubuntu-22.04'],
      command,
    );
  assert.deepEqual(await completed('status', '--kubeconfig', kubeconfig, ''), [
    'debian-12',
    'ubuntu-24.04',
    'ubuntu-22.04',
  ]);
  assert.equal(server.seen.at(-1)?.path, '/apis/glance-image-operator.dev/v1alpha1/namespaces/images/glanceimages');
  assert.match(server.seen.at(-1)?.headers.accept ?? '', /PartialObjectMetadataList/);
  for (const flags of [['-n', 'team'], ['--namespace=team']]) {
    assert.deepEqual(await completed('diff', '--kubeconfig', kubeconfig, ...flags, 'd'), ['debian-12']);
    assert.match(server.seen.at(-1)?.path ?? '', /\/namespaces\/team\/glanceimages$/, flags.join(' '));
  }
});

test('no name is offered where none can follow, and no request is made for it', async (t) => {
  const server = await startServer(t, list(['ubuntu']));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  for (const words of [
    ['status', 'ubuntu', ''],
    ['status', '--all-namespaces', ''],
    ['plan', '--filename', 'manifests', ''],
    ['plan', '--no-such', ''],
    ['orphans', ''],
  ])
    assert.deepEqual(await completed(...words.toSpliced(1, 0, '--kubeconfig', kubeconfig)), [], words.join(' '));
  assert.deepEqual(server.seen, []);
});

test('a cluster that rejects the list, or cannot be reached, completes nothing and prints no message', async (t) => {
  const server = await startServer(t, status(403, 'Forbidden', 'you may not'));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  for (const path of [kubeconfig, '/nowhere']) {
    const around = surroundings();
    const words = ['--kubectl', '--', 'status', '--kubeconfig', path, ''];
    assert.equal(await candidatesCommand(() => commandsForPeople).run(words, () => around), 0);
    assert.deepEqual([around.output(), around.errors()], [':4\n', '']);
  }
});

test('a cluster that does not respond delays the completion by three seconds only', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const kubeconfig = await writeKubeconfig(t, `http://127.0.0.1:${address.port}`, { token: 'token' });
  const clock = createVirtualClock();
  const around = { ...surroundings(), clock };
  const asked = once(server, 'request');
  const found = candidates(['status', '--kubeconfig', kubeconfig, ''], commandsForPeople, around);
  await asked;
  await clock.advance(3_000);
  assert.deepEqual(await found, []);
});

/** What bash has after TAB at the end of a line, which it has divided like this. */
function byBash(line: string, parts: readonly string[]): string {
  const script = `source <(glance-image-operator completion bash)
    COMP_LINE=$1; COMP_POINT=\${#1}; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _glance_image_operator
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = installed.run(['bash', '-c', script, 'bash', line, ...parts]);
  assert.equal(stderr, '', line);
  return stdout.trim();
}

test('bash completes what the program offers, after = too', () => {
  const command = 'glance-image-operator';
  assert.equal(byBash(`${command} plan --offl`, [command, 'plan', '--offl']), '--offline');
  assert.equal(byBash(`${command} plan --output=j`, [command, 'plan', '--output', '=', 'j']), 'json');
  assert.equal(byBash(`${command} plan --output=`, [command, 'plan', '--output', '=']), 'table\njson\nyaml');
  assert.equal(byBash(`${command} plan --filename `, [command, 'plan', '--filename', '']), '');
});

test('bash passes words on without quotes and with the folder of the user, and does not divide them at colons', () => {
  const stub = join(installed.folder, 'stub');
  writeFileSync(stub, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
  for (const path of ['~/my\\ config', `"${installed.folder}/my config"`, `'${installed.folder}/my config'`])
    assert.equal(
      byBash(`~/stub status --context arn:aws:x --kubeconfig ${path} deb`, [
        ...['~/stub', 'status', '--context', 'arn', ':', 'aws', ':', 'x', '--kubeconfig', path, 'deb'],
      ]),
      [
        '__complete',
        '--',
        'status',
        '--context',
        'arn:aws:x',
        '--kubeconfig',
        `${installed.folder}/my config`,
        'deb',
      ].join('\n'),
      path,
    );
});

test('kubectl completes the commands and flags of its plugin, and files after a flag that takes one', () => {
  const byKubectl = (...words: string[]) => installed.run(['kubectl', '__complete', 'glanceimage', ...words]).stdout;
  assert.equal(byKubectl('pl'), 'plan\n:4\n');
  assert.equal(byKubectl('plan', '--offl'), '--offline\n:4\n');
  assert.equal(byKubectl('plan', '--filename', ''), ':0\n');
});

test('the script of each shell asks the program, and another shell is an error with the names of the known ones', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const around = surroundings();
    assert.equal(await completionCommand.run([shell], () => around), 0);
    assert.match(around.output(), /__complete/);
  }
  const around = surroundings();
  assert.equal(await completionCommand.run(['csh'], () => around), 1);
  assert.equal(around.errors(), 'glance-image-operator: name a shell: bash, zsh, fish\n');
});
