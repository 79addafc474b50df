import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { compress } from '@napi-rs/lzma/xz';
import { digestOf, generated } from '../env/content.ts';
import { planOf } from './plans.ts';
import { buildBundle, fromSource, type Program, start } from './program.ts';
import { useScene } from './real.ts';

let bundle: Program;
let folder: string;
const scene = useScene(async ({ access }) => {
  bundle = await buildBundle();
  folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-command-'));
  writeFileSync(join(folder, 'clouds.yaml'), access.cloud.cloudsYaml);
});
after(async () => {
  rmSync(folder, { recursive: true });
  bundle.remove();
});

const loopback = ['--source-allow', '127.0.0.0/8', '--cloud-allow', '127.0.0.0/8'];
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

for (const [from, program] of [
  ['source', () => fromSource],
  ['the bundle', () => bundle],
] as const) {
  describe(`the transfer command from ${from}`, () => {
    const run = (args: readonly string[], options: Parameters<typeof start>[2] = {}) =>
      start(program(), ['transfer', ...loopback, ...args], options);

    test(`the transfer command from ${from} fills the image, and prints the result as JSON and its progress to standard error`, async () => {
      const { source, path, plan, project } = scene();
      const body = generated(1_000_000);
      const wanted = await plan({ url: source.add(path(), { body }), digest: `sha256:${digestOf(body)}` });
      const args = ['--clouds-yaml', join(folder, 'clouds.yaml'), file('plan.json', JSON.stringify(wanted))];
      const { code, stdout, stderr } = await run(args).ended;
      assert.equal(code, 0, stderr);
      const result = JSON.parse(stdout);
      assert.deepEqual([result.bytes, result.digest], [body.size, wanted.digest]);
      assert.match(stderr, /^All 977Ki sent/m);
      assert.equal((await project.getImage(wanted.imageID)).status, 'active');
    });

    test(`the transfer command from ${from} has every decoder`, async () => {
      const { source, path, plan, project } = scene();
      const body = await compress(Buffer.alloc(100_000, 'disk'));
      const wanted = await plan({ url: source.add(path(), { body }) });
      const { code, stdout, stderr } = await run(['-'], { stdin: JSON.stringify(wanted), cwd: folder }).ended;
      assert.equal(code, 0, stderr);
      assert.equal(JSON.parse(stdout).compression, 'xz');
      assert.equal((await project.getImage(wanted.imageID)).size, 100_000);
    });

    test(`the transfer command from ${from} exits with 1 and the cause of a failure`, async () => {
      const { source, plan } = scene();
      const wanted = await plan({ url: `${source.url}/missing.raw` });
      const { code, stdout, stderr } = await run(['-'], { stdin: JSON.stringify(wanted), cwd: folder }).ended;
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /glance-image-operator: .*missing\.raw responded with 404/);
    });

    test(`the transfer command from ${from} leaves the image queued when it is interrupted`, async () => {
      const { source, path, plan, settled } = scene();
      const at = path();
      const released = new Promise(() => {});
      const wanted = await plan({
        url: source.add(at, { body: generated(1_000_000), gate: { at: 500_000, released } }),
      });
      const env = { OS_CLIENT_CONFIG_FILE: join(folder, 'clouds.yaml') };
      const command = run(['-'], { stdin: JSON.stringify(wanted), env });
      const request = await source.requested(at);
      while (request.sent < 500_000) await new Promise((done) => setImmediate(done));
      command.kill('SIGINT');
      const { code, stdout, stderr } = await command.ended;
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, /cancelled by SIGINT; image \S+ is left queued/);
      assert.equal((await settled(wanted)).status, 'queued');
    });
  });
}

describe('wrong usage of the transfer command', () => {
  const usage = async (args: readonly string[], options: Parameters<typeof start>[2] = {}) => {
    const { code, stdout, stderr } = await start(fromSource, ['transfer', ...args], options).ended;
    assert.deepEqual([code, stdout], [2, '']);
    return stderr;
  };
  const aPlan = JSON.stringify(planOf());

  test('the transfer command without one plan or with an unknown flag exits with 2', async () => {
    assert.match(await usage([]), /give the file of a plan/);
    assert.match(await usage(['a', 'b']), /Unexpected argument 'b'/);
    assert.match(await usage(['--password', 'x']), /unknown option '--password'/);
    assert.match(await usage(['--source-allow', '10.0.0.0/99', '-']), /--source-allow: not a CIDR/);
  });

  test('the transfer command with an invalid plan exits with 2 and names the problem', async () => {
    assert.match(await usage([join(folder, 'nowhere.json')]), /cannot read the plan from .*nowhere\.json/);
    assert.match(await usage(['-'], { stdin: 'not json' }), /cannot read the plan from standard input/);
    const stderr = await usage(['-'], { stdin: JSON.stringify({ ...planOf(), imageID: 'x', more: 1 }) });
    assert.match(stderr, /standard input is not a plan:\n {2}imageID: .*\n {2}plan: .*"more"/);
  });

  test('the transfer command with a missing or malformed file exits with 2 and names the file', async () => {
    const options = { stdin: aPlan, env: { HOME: join(folder, 'nobody') } };
    assert.match(await usage(['-'], { ...options, cwd: tmpdir() }), /no clouds.yaml.*nobody\/\.config\/openstack/);
    const flags = ['--clouds-yaml', join(folder, 'clouds.yaml')];
    assert.match(await usage([...flags, '--cacert', '/nowhere.pem', '-'], options), /cannot read \/nowhere\.pem/);
    const headers = file('headers', 'authorization: hunter2\nnonsense\n');
    const stderr = await usage([...flags, '--header-file', headers, '-'], options);
    assert.match(stderr, /line 2 is not a header/);
  });
});

test('the help of glance-image-operator transfer names every flag', async () => {
  const { code, stdout } = await start(fromSource, ['transfer', '--help']).ended;
  assert.equal(code, 0);
  for (const flag of [
    '--clouds-yaml',
    '--cacert',
    '--header-file',
    '--source-ca',
    '--source-allow',
    '--cloud-allow',
    'PLAN',
  ])
    assert.ok(stdout.includes(`  ${flag}`), flag);
});
