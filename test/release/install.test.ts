import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { describe, test } from 'node:test';
import packageJson from '../../package.json' with { type: 'json' };

const root = resolve(import.meta.dirname, '../..');

/** Nothing is downloaded or installed. */
function npmCi(engine: string, ...args: string[]): { status: number | null; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), 'install-'));
  try {
    for (const file of ['package-lock.json', '.npmrc']) cpSync(join(root, file), join(folder, file));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...packageJson, engines: { node: engine } }));
    const npm = ['ci', '--offline', '--dry-run', '--ignore-scripts', ...args];
    // npm runs on the first node of the PATH.
    const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };
    const { status, stderr } = spawnSync('npm', npm, { cwd: folder, encoding: 'utf8', env });
    return { status, stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('an installation of the packages', () => {
  test('npm ci on a Node that is too old fails and names both versions, instead of leaving out the xz decoder', () => {
    const { status, stderr } = npmCi('>=99');
    assert.equal(status, 1);
    assert.match(stderr, /Not compatible with your version of node/);
    assert.match(stderr, /Required: \{"node":">=99"\}/);
    assert.equal(npmCi(packageJson.engines.node).status, 0);
  });

  test('the setup of the tests runs on an old Node, because it adds the decoder with the Node that it installs', () => {
    const setup = readFileSync(join(root, 'test/env/setup.mjs'), 'utf8');
    const installs = [...setup.matchAll(/run\('npm', \['(?:ci|install)'[^\n]*cwd: root[^\n]*/g)].map(([line]) => line);
    assert.equal(installs.length, 2);
    assert.match(installs[0] ?? '', /'ci', '--engine-strict=false'/);
    assert.match(installs[1] ?? '', /'install', '--no-save'.*PATH/);
    assert.equal(npmCi('>=99', '--engine-strict=false').status, 0);
  });
});
