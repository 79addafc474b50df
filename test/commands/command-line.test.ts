/** The frame of the command line, as a process. */
import assert from 'node:assert/strict';
import { type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { isReason, reasons } from '../../src/api/reasons.ts';
import { command } from '../../src/commands/command.ts';
import { readSettings, setting } from '../../src/commands/config.ts';
import { orphansCommand } from '../../src/commands/orphans.ts';
import { painter, print, table } from '../../src/commands/output.ts';
import { commandsForPeople } from '../../src/commands/people.ts';
import { planCommand } from '../../src/commands/plan.ts';
import { showWork } from '../../src/commands/progress.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import { errorCodes } from '../../src/lib/error-codes.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { createVirtualClock } from '../clock.ts';
import { type Installed, install, program } from './installed.ts';
import { surroundings } from './surroundings.ts';

let installed: Installed;
let folder: string;
let run: Installed['run'];
before(() => {
  installed = install();
  ({ folder, run } = installed);
});
after(() => installed[Symbol.dispose]());

test('every command for people has a help with its usage, its flags and its exit codes', () => {
  assert.match(
    run(['glance-image-operator', '--help']).stdout,
    /^ {2}run {2,}[\s\S]*^ {2}transfer {2,}[\s\S]*^ {2}plan {2,}/m,
  );
  assert.equal(run(['glance-image-operator', 'help', 'plan']).stdout, `${planCommand.help('glance-image-operator')}\n`);
  for (const { name, flags, help } of commandsForPeople) {
    const shown = help('glance-image-operator');
    assert.match(shown, new RegExp(`^glance-image-operator ${name}: `));
    assert.match(shown, /Usage: [\s\S]*Exit codes:\n {2}0 {2}.*\n {2}1 {2}/);
    for (const { flag } of flags) assert.ok(shown.includes(`\n  ${flag}`), flag);
  }
});

test('an agreement to one call can be given by its flag only, not by the environment', () => {
  const flags = new Map(orphansCommand.flags.map(({ flag, env }) => [flag, env]));
  for (const flag of ['--delete', '--unprotect', '--yes']) {
    assert.ok(flags.has(flag), flag);
    assert.equal(flags.get(flag), undefined);
  }
  const table = { yes: { schema: setting.switch(), isFlagOnly: true as const, help: '' } };
  const env = { GLANCE_IMAGE_OPERATOR_YES: 'true' };
  assert.equal(readSettings(table, [], env).yes, false);
  assert.equal(readSettings(table, ['--yes'], {}).yes, true);
  const shown = orphansCommand.help('glance-image-operator');
  assert.match(shown, / --yes\n {6}.*\n {2}--kubeconfig/);
  assert.match(shown, /GLANCE_IMAGE_OPERATOR_KUBECONFIG/);
});

test('kubectl runs the commands as the plugin glanceimage, and the help says so', () => {
  const { stdout, stderr, status } = run(['kubectl', 'glanceimage', 'plan', '--help']);
  assert.equal(status, 0, stderr);
  assert.match(stdout, /Usage: kubectl glanceimage plan \[NAME\]/);
});

test('a command that does not exist is an error with the exit code 1, and the plugin alone prints its help', () => {
  const unknown = run(['glance-image-operator', 'plann']);
  assert.deepEqual([unknown.status, unknown.stdout], [1, '']);
  assert.match(unknown.stderr, /^glance-image-operator: there is no command "plann"\n/);
  for (const args of [[], ['-h'], ['--help']]) {
    const { status, stdout } = run(['kubectl-glanceimage', ...args]);
    assert.equal(status, 0);
    assert.match(stdout, /^Usage: kubectl glanceimage [\s\S]*^Default command: help$/m);
  }
  assert.match(run(['glance-image-operator', '--help']).stdout, /^Default command: run$/m);
  assert.equal(run(['kubectl-glanceimage', '--no-such']).status, 1);
});

test('an error of a command is one sentence without a stack, and its exit code is 1', async () => {
  const stderr = run(['glance-image-operator', 'plan', '--no-such']);
  assert.deepEqual(
    [stderr.status, stderr.stdout, stderr.stderr],
    [1, '', "glance-image-operator: unknown option '--no-such'\n  --help lists the flags of plan.\n"],
  );
  for (const [args, message] of [
    [[], /^glance-image-operator: give the NAME of a resource, or manifests with --filename\n$/],
    [['a', 'b'], /^glance-image-operator: Unexpected argument 'b'\n {2}--help lists the flags of plan\.\n$/],
    [['a', '--output', 'xml'], /^glance-image-operator: --output: .*\n {2}--help lists .*\n$/],
    [['-f', '/nowhere', '--offline', '--os-cloud', 'x'], /^glance-image-operator: cannot read \/nowhere: .*\n$/],
    [['-f', '/nowhere', '--offline'], /^glance-image-operator: --offline needs --os-cloud\n$/],
    [
      ['a', '--kubeconfig', '/nowhere'],
      /^glance-image-operator: The kubeconfig cannot be used: .*\n {2}Check the kubeconfig .*--kubeconfig and --context .*\n$/,
    ],
  ] as const) {
    const around = surroundings();
    assert.equal(await planCommand.run([...args], () => around), 1);
    assert.match(around.errors(), message);
    assert.equal(around.output(), '');
  }
});

/** What a command prints that fails with this error. */
async function printedFor(
  error: Error,
  { isByHand, args = [] }: { isByHand?: true; args?: string[] } = {},
): Promise<string> {
  const settings = { osCloud: { schema: setting.text(), value: 'NAME', help: '' } };
  const failing = command({
    name: 'x',
    summary: '',
    operands: '',
    most: 0,
    settings,
    ...(isByHand && { isByHand }),
    run: () => Promise.reject(error),
  });
  const around = surroundings();
  assert.equal(await failing.run(args, () => around), 1);
  return around.errors();
}

test('an error with a known reason is printed with the remedy of the table of reasons', async () => {
  assert.equal(
    await printedFor(new OperatorError('clouds.yaml has no key auth', { code: 'SecretInvalid' })),
    'glance-image-operator: clouds.yaml has no key auth\n  Fix the key of the Secret that the message names.\n',
  );
});

test('no remedy that a command prints relies on an operator that retries', async () => {
  for (const code of errorCodes) {
    const printed = await printedFor(new OperatorError('x', { code }));
    if (isReason(code) && reasons[code].actor === 'operator')
      assert.match(printed, /\n {2}Run the command again /, code);
    assert.doesNotMatch(printed, /the operator retries|\n {2}Nothing/, code);
  }
  for (const reason of ['Unreachable', 'Forbidden', 'Conflict']) {
    const printed = await printedFor(new KubernetesError('x', { reason }));
    assert.doesNotMatch(printed, /ServiceAccount/);
    assert.equal(printed.includes('--kubeconfig'), reason !== 'Conflict', reason);
  }
});

test('no remedy of a command without a resource names a field or a Secret', async () => {
  for (const code of errorCodes)
    assert.doesNotMatch(await printedFor(new OperatorError('x', { code }), { isByHand: true }), /`|Secret/, code);
  assert.match(await printedFor(new OperatorError('x', { code: 'SourceNotFound' })), /`content\.http\.url`/);
});

test('with --os-cloud the remedy for credentials is about the clouds.yaml of this machine, not about a Secret', async () => {
  const args = ['--os-cloud', 'demo'];
  for (const code of ['SecretInvalid', 'CloudNotFound', 'CloudChanged', 'AuthenticationFailed'] as const) {
    const printed = await printedFor(new OperatorError('x', { code }), { args });
    assert.match(printed, /clouds\.yaml|--os-cloud/, code);
    assert.doesNotMatch(printed, /Secret|spec\.cloud/, code);
  }
});

test('output that cannot be written is an error with one sentence, help and completion included', () => {
  const full = openSync('/dev/full', 'w');
  try {
    const file = join(folder, 'file');
    writeFileSync(file, 'data');
    for (const args of [['--help'], ['plan', '--help'], ['completion', 'bash'], ['verify', file], ['version']]) {
      const stdio: StdioOptions = ['ignore', full, 'pipe'];
      const { status, stderr } = spawnSync(process.execPath, [program, ...args], { stdio, encoding: 'utf8' });
      const message = 'glance-image-operator: cannot write the output: no space left on device\n';
      assert.equal(status, 1, args.join(' '));
      assert.ok(stderr.endsWith(message) && !/^ {4}at /m.test(stderr), stderr);
    }
  } finally {
    closeSync(full);
  }
});

test('a reader that closes the pipe early ends a command as a signal does, and is no error', async () => {
  const commands = join(import.meta.dirname, '../../src/commands');
  const endless = join(folder, 'endless.ts');
  writeFileSync(
    endless,
    `import { setImmediate } from 'node:timers/promises';
    import { command } from ${JSON.stringify(join(commands, 'command.ts'))};
    import { surroundingsOf, watchOutput } from ${JSON.stringify(join(commands, 'surroundings.ts'))};
    const output = watchOutput(process);
    async function run(_line, { out, err, signal }) {
      try {
        for (;;) {
          out.write('x'.repeat(100) + '\\n');
          await setImmediate(undefined, { signal });
        }
      } finally {
        err.write('nothing is left half done');
      }
    }
    command({ name: 'endless', summary: '', operands: '', most: 0, settings: {}, run })
      .run([], () => surroundingsOf(process, output.signal))
      .then(output.end);`,
  );
  const child = spawn(process.execPath, [endless], { stdio: ['ignore', 'pipe', 'pipe'] });
  const errors = text(child.stderr);
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = z.tuple([z.number().nullable(), z.unknown()]).parse(await once(child, 'exit'));
  assert.deepEqual([code, await errors], [0, 'nothing is left half done']);
});

test('a command whose standard error is closed ends as usual', async () => {
  const file = join(folder, 'data');
  writeFileSync(file, Buffer.alloc(512));
  const child = spawn(process.execPath, [program, 'verify', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stderr.destroy();
  const output = text(child.stdout);
  const [code] = z.tuple([z.number().nullable(), z.unknown()]).parse(await once(child, 'exit'));
  assert.equal(code, 0);
  assert.match(await output, /The operator would accept it/);
});

test('SIGINT ends a command with the reason and without a stack', async () => {
  // A server that never responds.
  const { createServer } = await import('node:net');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = z.object({ port: z.number() }).parse(server.address());
  const cluster = { name: 'x', cluster: { server: `http://127.0.0.1:${address.port}` } };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [cluster],
    contexts: [{ name: 'x', context: { cluster: 'x' } }],
  };
  const kubeconfig = join(folder, 'stalled');
  writeFileSync(kubeconfig, JSON.stringify({ ...config, 'current-context': 'x' }));
  const child = spawn(process.execPath, [program, 'plan', 'a', '--kubeconfig', kubeconfig], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  await once(server, 'connection');
  child.kill('SIGINT');
  const [code] = z.tuple([z.number().nullable(), z.unknown()]).parse(await once(child, 'exit'));
  assert.deepEqual([code, ...(await output)], [1, '', 'glance-image-operator: stopped by SIGINT\n']);
  server.close();
});

test('messages of the exec plugin of a kubeconfig are shown while it runs', async () => {
  const [kubeconfig, done] = [join(folder, 'plugin'), join(folder, 'logged-in')];
  const script = `echo 'open https://login.example.com' >&2; until [ -e ${done} ]; do sleep 0.05; done; exit 3`;
  const user = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'sh', args: ['-c', script] } };
  const config = {
    clusters: [{ name: 'x', cluster: { server: 'http://127.0.0.1:1' } }],
    users: [{ name: 'x', user }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
    'current-context': 'x',
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const child = spawn(process.execPath, [program, 'plan', 'a', '--kubeconfig', kubeconfig], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let shown = '';
  for await (const part of child.stderr.setEncoding('utf8')) {
    shown += part;
    if (shown.includes('login.example.com')) writeFileSync(done, '');
  }
  assert.match(shown, /^open https:\/\/login\.example\.com\n.*: sh ended with code 3\n/);
});

test('the same data is printed as JSON, as YAML, or as text for people', () => {
  const printed = (output: 'table' | 'json' | 'yaml') => {
    const around = surroundings();
    print(output, { name: 'a: b', sizes: [1] }, () => 'text\n', around);
    return around.output();
  };
  assert.equal(printed('table'), 'text\n');
  assert.deepEqual(JSON.parse(printed('json')), { name: 'a: b', sizes: [1] });
  assert.equal(printed('yaml'), 'name: "a: b"\nsizes:\n  - 1\n');
});

test('work is shown on a terminal after a second, and its line is removed at the end', async () => {
  const clock = createVirtualClock();
  const shownOn = (isTTY: boolean) => {
    const around = surroundings({ isTTY });
    const work = showWork(around.err, clock);
    work.update('Listing images');
    return { around, work };
  };
  const [terminal, pipe, quick] = [shownOn(true), shownOn(false), shownOn(true)];
  quick.work.stop();
  await clock.advance(1_000);
  for (const { work } of [terminal, pipe]) work.stop();
  assert.equal(terminal.around.errors(), '\rListing images\u001b[K\r\u001b[K');
  assert.deepEqual([pipe.around.errors(), quick.around.errors()], ['', '']);
});

describe('colours', () => {
  test('text has colours on a terminal only, and none where NO_COLOR is set', () => {
    const out = { write: () => {} };
    const red = (isTTY: boolean, env: NodeJS.ProcessEnv) => painter({ out: { ...out, isTTY }, env })('red', 'x');
    assert.equal(red(true, {}), '\u001b[31mx\u001b[39m');
    assert.deepEqual([red(false, {}), red(true, { NO_COLOR: '1' }), red(true, { TERM: 'dumb' })], ['x', 'x', 'x']);
  });

  test('the columns of a table are aligned whatever colours their cells have', () => {
    assert.equal(
      table([
        ['NAME', 'STATE'],
        ['\u001b[31mab\u001b[39m', 'x'],
      ]),
      'NAME   STATE\n\u001b[31mab\u001b[39m     x\n',
    );
  });
});

/** A program that asks `question` and prints what is typed. */
function askingFor(question: string): string {
  const commands = join(import.meta.dirname, '../../src/commands');
  const asking = join(folder, 'asking.ts');
  writeFileSync(
    asking,
    `import { command } from ${JSON.stringify(join(commands, 'command.ts'))};
    import { surroundingsOf, watchOutput } from ${JSON.stringify(join(commands, 'surroundings.ts'))};
    const output = watchOutput(process);
    async function run(_line, { readLine, signal, out }) {
      out.write('typed: ' + (await readLine(${JSON.stringify(question)}, signal)) + '\\n');
      return false;
    }
    command({ name: 'ask', summary: '', operands: '', most: 0, settings: {}, run })
      .run([], () => surroundingsOf(process, output.signal))
      .then(output.end);`,
  );
  return asking;
}

/** Runs a line of a shell on a terminal, and types `keys` once `Delete? ` is shown. */
async function onTerminal(line: string, keys: string): Promise<{ code: number | null; shown: string }> {
  const terminal = spawn('script', ['-qec', line, '/dev/null'], { stdio: 'pipe' });
  let shown = '';
  terminal.stdout.setEncoding('utf8').on('data', (part: string) => {
    if (!shown.includes('Delete? ') && (shown + part).includes('Delete? ')) terminal.stdin.write(keys);
    shown += part;
  });
  const [code] = z.tuple([z.number().nullable(), z.unknown()]).parse(await once(terminal, 'exit'));
  return { code, shown };
}

test('Ctrl-C at a question ends the command as the signal does, on a line of its own', async () => {
  const { code, shown } = await onTerminal(`${process.execPath} ${askingFor('Delete? ')}`, '\u0003');
  assert.equal(code, 1);
  assert.match(shown, /\r\nglance-image-operator: stopped by SIGINT\r\n/);
});

test('a question appears where it is seen, also while the output goes to a file, and otherwise it is not put', async () => {
  const asking = askingFor('one\ntwo\nDelete? ');
  const file = join(folder, 'typed');
  const { shown } = await onTerminal(`${process.execPath} ${asking} > ${file}`, 'yes\r');
  assert.match(shown, /^one\r\ntwo\r\n[\s\S]*Delete\? /);
  assert.equal(readFileSync(file, 'utf8'), 'typed: yes\n');
  const unseen = await onTerminal(`${process.execPath} ${asking} 2> ${file}`, '');
  assert.deepEqual([unseen.shown, readFileSync(file, 'utf8')], ['typed: undefined\r\n', '']);
  const piped = spawnSync(process.execPath, [asking], { input: 'yes\n', encoding: 'utf8' });
  assert.equal(piped.stdout, 'typed: undefined\n');
});
