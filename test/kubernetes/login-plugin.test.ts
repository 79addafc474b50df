/** Programs that supply the login of a kubeconfig. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadKubeconfig, readCredentials } from '../../src/kubernetes/kubeconfig.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createVirtualClock } from '../clock.ts';
import { eventually } from '../env/wait.ts';
import { connect, json, never, rejectsWith, startServer } from './server.ts';

const path = '/api/v1/things';

test('an exec plugin supplies the token', async (t) => {
  const server = await startServer(t, json(200, {}));
  const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'T' } };
  const exec = { apiVersion: credential.apiVersion, command: '/bin/echo', args: [JSON.stringify(credential)] };
  const transport = await connect(t, server, { user: { exec } });
  await transport.request({ method: 'GET', path }, never);
  assert.equal(server.seen[0]?.headers.authorization, 'Bearer T');
});

test('an exec plugin gets the version of the output that the kubeconfig names', async (t) => {
  const server = await startServer(t, json(200, {}));
  const apiVersion = 'client.authentication.k8s.io/v1beta1';
  const script = `printf '{"status":{"token":"%s"}}' "$(echo "$KUBERNETES_EXEC_INFO" | base64 -w0)"`;
  const exec = { apiVersion, command: '/bin/sh', args: ['-c', script] };
  const transport = await connect(t, server, { user: { exec } });
  await transport.request({ method: 'GET', path }, never);
  const [, token = ''] = server.seen[0]?.headers.authorization?.split(' ') ?? [];
  assert.deepEqual(JSON.parse(Buffer.from(token, 'base64').toString()), {
    apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false },
  });
});

test('an exec plugin that fails is named as the cause, and one that hangs ends with the deadline', async (t) => {
  const server = await startServer(t, json(200, {}));
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: '/bin/false', args: [] };
  const failing = await connect(t, server, { user: { exec } });
  await assert.rejects(failing.request({ method: 'GET', path }, never), rejectsWith('CredentialsUnavailable'));
  const hanging = await connect(t, server, {
    user: { exec: { ...exec, command: '/bin/sleep', args: ['2'] } },
    clock: systemClock,
    isUnattended: true,
  });
  await assert.rejects(
    hanging.request({ method: 'GET', path, deadlineMs: 50 }, never),
    rejectsWith('DeadlineExceeded'),
  );
});

const credentials = `echo '{"status":{"token":"T"}}'`;
const plugin = (script: string) => ({
  exec: { command: '/bin/sh', args: ['-c', script], interactiveMode: 'IfAvailable' },
});

test('an exec plugin that has not ended ends when the transport is closed, with everything that it started if no user attends', async (t) => {
  const server = await startServer(t, json(200, {}));
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plugin-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const isUnattended of [false, true]) {
    const file = join(folder, `pids-${isUnattended}`);
    const hanging = isUnattended ? `sleep 600 & echo $$ $! >${file}; wait` : `echo $$ >${file}; exec sleep 600`;
    const transport = await connect(t, server, { user: plugin(hanging), isUnattended, clock: createVirtualClock() });
    const ended = assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('Closed'));
    const pids = await eventually(
      () => (existsSync(file) && readFileSync(file, 'utf8').match(/\d+(?=[ \n])/g)) || undefined,
      () => 'the plugin did not start',
    );
    assert.equal(pids.length, isUnattended ? 2 : 1);
    await transport.close();
    await ended;
    for (const pid of pids)
      await eventually(
        () => hasEnded(Number(pid)),
        () => `process ${pid} of the plugin is still there`,
      );
  }
});

/** A process that waits for its parent to notice its end has ended too. */
function hasEnded(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

test('an exec plugin has no input, and none without a user has a terminal', async (t) => {
  const server = await startServer(t, json(200, {}));
  const reading = `if read -r line; then exit 1; fi; ${credentials}`;
  const transport = await connect(t, server, { user: plugin(reading) });
  await transport.request({ method: 'GET', path }, never);
  assert.equal(server.seen.at(-1)?.headers.authorization, 'Bearer T');
  const session = `[ "$(ps -o sid= -p $$ | tr -d ' ')" = $$ ] && ${credentials}`;
  const alone = await connect(t, server, { user: plugin(session), isUnattended: true });
  await alone.request({ method: 'GET', path }, never);
  assert.equal(server.seen.length, 2);
});

test('the output of an exec plugin is bounded, is used until it expires, and is named as the cause if it is no credential', async (t) => {
  const server = await startServer(t, json(200, {}));
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plugin-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const clock = createVirtualClock();
  const count = join(folder, 'count');
  const transport = await connect(t, server, { user: plugin(`echo >>${count}; ${credentials}`), clock });
  for (let calls = 0; calls < 3; calls++) {
    await transport.request({ method: 'GET', path }, never);
    await clock.advance(60_000);
  }
  assert.equal(readFileSync(count, 'utf8'), '\n');
  const expirationTimestamp = new Date(clock.now().getTime() + 90_000).toISOString();
  const expiring = `echo >>${count}; echo '${JSON.stringify({ status: { token: 'T', expirationTimestamp } })}'`;
  const renewed = await connect(t, server, { user: plugin(expiring), clock });
  for (let calls = 0; calls < 3; calls++) {
    await renewed.request({ method: 'GET', path }, never);
    await clock.advance(60_000);
  }
  assert.equal(readFileSync(count, 'utf8'), '\n\n\n');
  for (const [script, problem] of [
    ['head -c 3000000 /dev/zero', /more than 1048576 bytes/],
    ['echo text', /printed no credentials/],
    ['echo "log in first" >&2; exit 3', /ended with code 3: log in first/],
    ['kill -9 $$', /ended by SIGKILL/],
    [`echo '{"status":{}}'`, /printed neither a token nor a certificate with its key/],
    [`echo '{"status":{"clientCertificateData":"C"}}'`, /printed neither a token nor a certificate with its key/],
    [`echo '{"status":{"token":"T","clientKeyData":"K"}}'`, /printed only one of a certificate and its key/],
    [
      `echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","status":{"token":"T"}}'`,
      /printed version client.authentication.k8s.io\/v1beta1, and the kubeconfig names client.authentication.k8s.io\/v1/,
    ],
  ] as const) {
    const failing = await connect(t, server, { user: plugin(script), isUnattended: true });
    await assert.rejects(failing.request({ method: 'GET', path }, never), problem, script);
  }
  const installHint = 'Install it with:\n  brew install no-such-plugin';
  const missing = await connect(t, server, { user: { exec: { command: 'no-such-plugin', installHint } } });
  await assert.rejects(
    missing.request({ method: 'GET', path }, never),
    /no-such-plugin, which the kubeconfig names, was not found: Install it with: brew install no-such-plugin$/,
  );
  const asking = await connect(t, server, { user: { exec: { command: '/bin/echo', interactiveMode: 'Always' } } });
  await assert.rejects(asking.request({ method: 'GET', path }, never), /needs a terminal for its input/);
});

test('an exec plugin that hangs is ended after five minutes, and the next request starts it again', async (t) => {
  const server = await startServer(t, json(200, {}));
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plugin-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const pid = join(folder, 'pid');
  const clock = createVirtualClock();
  const hanging = `if [ -e ${pid} ]; then ${credentials}; else trap '' TERM; echo $$ >${pid}; while :; do sleep 0.1; done; fi`;
  const transport = await connect(t, server, { user: plugin(hanging), clock, isUnattended: true });
  const first = assert.rejects(transport.request({ method: 'GET', path }, never), rejectsWith('DeadlineExceeded'));
  const started = await eventually(
    () => (existsSync(pid) && readFileSync(pid, 'utf8').trim()) || undefined,
    () => 'the plugin did not start',
  );
  await clock.advance(30_000);
  await first;
  await clock.advance(270_000);
  await eventually(
    () => hasEnded(Number(started)),
    () => `process ${started} of the plugin is still there`,
  );
  await transport.request({ method: 'GET', path }, never);
  assert.equal(server.seen.at(-1)?.headers.authorization, 'Bearer T');
});

test('the time of a login in which a user takes part does not count as time of the request', async (t) => {
  const server = await startServer(t, json(200, {}));
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plugin-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [started, done] = [join(folder, 'started'), join(folder, 'done')];
  const clock = createVirtualClock();
  const slow = `echo >${started}; until [ -e ${done} ]; do sleep 0.05; done; ${credentials}`;
  const transport = await connect(t, server, { user: plugin(slow), clock });
  const asked = transport.request({ method: 'GET', path }, never);
  await eventually(
    () => existsSync(started) || undefined,
    () => 'the plugin did not start',
  );
  await clock.advance(120_000);
  writeFileSync(done, '');
  await asked;
  assert.equal(server.seen[0]?.headers.authorization, 'Bearer T');
});

test('an exec plugin gets the cluster if the kubeconfig demands it, with what the kubeconfig has for the plugin', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-plugin-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [info, kubeconfig] = [join(folder, 'info'), join(folder, 'config')];
  const shoot = { shootRef: { namespace: 'garden-a', name: 'b' }, gardenClusterIdentity: 'landscape' };
  const extensions = [
    { name: 'other', extension: {} },
    { name: 'client.authentication.k8s.io/exec', extension: shoot },
  ];
  writeFileSync(join(folder, 'ca.crt'), 'CA');
  const clusters = [
    { name: 'plain', cluster: { server: 'https://plain.example.com' } },
    {
      name: 'c',
      cluster: {
        server: 'https://c.example.com',
        'tls-server-name': 'c',
        'certificate-authority': 'ca.crt',
        extensions,
      },
    },
  ];
  const wrote = async (cluster: string, provideClusterInfo: boolean) => {
    const { exec } = plugin(`printf %s "$KUBERNETES_EXEC_INFO" >${info}; ${credentials}`);
    const users = [{ name: 'u', user: { exec: { ...exec, provideClusterInfo } } }];
    const contexts = [{ name: 'x', context: { cluster, user: 'u' } }];
    writeFileSync(kubeconfig, JSON.stringify({ clusters, users, contexts, 'current-context': 'x' }));
    await readCredentials(loadKubeconfig(kubeconfig));
    return JSON.parse(readFileSync(info, 'utf8')).spec;
  };
  const ca = Buffer.from('CA').toString('base64');
  assert.deepEqual(await wrote('c', true), {
    interactive: false,
    cluster: {
      server: 'https://c.example.com',
      'tls-server-name': 'c',
      'certificate-authority-data': ca,
      config: shoot,
    },
  });
  assert.deepEqual(await wrote('plain', true), {
    interactive: false,
    cluster: { server: 'https://plain.example.com' },
  });
  assert.deepEqual(await wrote('c', false), { interactive: false });
});
