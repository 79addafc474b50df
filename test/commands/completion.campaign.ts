/** The completion scripts in the real zsh and fish, which the long runs bring. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { folders } from '../env/parts.mjs';

const { shells } = folders;
const libraries = join(shells, 'usr/lib/x86_64-linux-gnu');
let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-completion-'));
  symlinkSync(join(import.meta.dirname, '../../src/main.ts'), join(folder, 'glance-image-operator'));
  writeFileSync(join(folder, 'manifest.yaml'), '');
});
after(() => rmSync(folder, { recursive: true }));

function run(shell: string, args: readonly string[]): string {
  const env = {
    PATH: [folder, dirname(process.execPath), process.env['PATH']].join(delimiter),
    HOME: folder,
    LD_LIBRARY_PATH: libraries,
  };
  const { stdout, stderr, status } = spawnSync(join(shells, shell), args, { encoding: 'utf8', env, cwd: folder });
  assert.equal(status, 0, stderr);
  return stdout;
}

const offered = '--offline\n=\ntable\njson\nyaml\n=\n';

test('zsh completes what the program offers, and files where it offers nothing', () => {
  // Outside of an interactive line the widgets of zsh do not exist: these print what the script gives them.
  const script = `
    module_path=(${libraries}/zsh/5.9); compdef() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { print FILES; }
    source <(glance-image-operator completion zsh)
    words=(glance-image-operator plan --offl); CURRENT=3; _glance_image_operator; print =
    words=(glance-image-operator plan --output ''); CURRENT=4; _glance_image_operator; print =
    words=(glance-image-operator plan --filename ''); CURRENT=4; _glance_image_operator`;
  assert.equal(run('bin/zsh', ['-f', '-c', script]), `${offered}FILES\n`);
});

test('fish completes what the program offers, and files where it offers nothing', () => {
  const script = `
    set fish_function_path ${join(shells, 'usr/share/fish/functions')}
    glance-image-operator completion fish | source
    for line in '--offl' '--output ' '--filename man'
      complete -C "glance-image-operator plan $line" | string replace -r '\\t.*' ''; echo =
    end`;
  const sorted = (text: string) => text.split('=').map((part) => part.trim().split('\n').sort());
  assert.deepEqual(sorted(run('usr/bin/fish', ['--no-config', '-c', script])), sorted(`${offered}manifest.yaml\n=\n`));
});
