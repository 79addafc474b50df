/** The status that another version of the operator wrote. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { statusCommand } from '../../src/commands/status.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { json, startServer, status, writeKubeconfig } from '../kubernetes/server.ts';
import { surroundings } from './surroundings.ts';

const object = (name: string, status: unknown, spec: unknown = {}) => ({
  apiVersion: 'glance-image-operator.dev/v1alpha1',
  kind: 'GlanceImage',
  metadata: { name, namespace: 'images', uid: `uid-${name}`, resourceVersion: '1', generation: 1 },
  spec,
  status,
});

async function run(t: TestContext, body: unknown, args: readonly string[]) {
  const server = await startServer(t, json(200, body));
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  const around = surroundings();
  const code = await statusCommand.run([...args, '--kubeconfig', kubeconfig], () => around);
  return { code, out: around.output(), err: around.errors() };
}

/** Each field has a value that this version does not know, next to one that it knows. */
const newer = {
  conditions: [
    { type: 'Ready', status: 'Perhaps', reason: 'Attested', message: 'the image is attested', more: true },
    'Ready',
    { type: 'Updating' },
  ],
  imageID: 'image-1',
  progress: 5,
  nextAttemptTime: 'tomorrow',
  image: { size: '1' },
  transfer: { phase: 'Attesting', bytes: -1, percent: 300 },
  lastError: { reason: 'AttestationFailed', message: 'no attestation', attempts: '3', httpStatus: 5 },
  revisions: [
    { number: 1, imageID: 'image-1', state: 'Attested', hash: 'sha3:0123456789abcdef' },
    { number: 'two', imageID: 'image-2', state: 7 },
    null,
  ],
  attestation: { by: 'someone', serial: 5 },
};

test('the status of another version of the operator is shown with every value that can be shown, and as it is in the data', async (t) => {
  const { code, out, err } = await run(t, object('ubuntu', newer), ['ubuntu']);
  assert.deepEqual([code, err], [0, '']);
  for (const line of [
    /^GlanceImage images\/ubuntu: AttestationFailed\n {2}no attestation\n/,
    /^ {2}Failed, HTTP 5$/m,
    /^ {2}Next attempt tomorrow$/m,
    /^ {2}Transfer: Attesting$/m,
    /^ +image-2$/m,
    /^1 +Attested +image-1 +sha3:0123456789ab…$/m,
    /\nThe status has values that this version does not know\. --output yaml shows all of it\.\n$/,
  ])
    assert.match(out, line);
  const data = await run(t, object('ubuntu', newer), ['ubuntu', '--output', 'json']);
  assert.deepEqual(JSON.parse(data.out).status, newer);
});

test('a list has resources with a status of another version, with none, and with a spec that this version does not know', async (t) => {
  const items = [
    object('attested', newer),
    object('bare', undefined),
    object('odd', 'text', { suspend: 'for a while', content: { torrent: {} } }),
    object('ready', { conditions: [{ type: 'Ready', status: 'True', reason: 'Ready', message: '' }] }),
  ];
  const { code, out, err } = await run(t, { items, metadata: { resourceVersion: '1' } }, []);
  assert.deepEqual([code, err], [0, '']);
  const rows = out.split('\n').map((line) => line.split(/ {2,}/).slice(1, 3));
  assert.deepEqual(rows.slice(1, 5), [
    ['attested', 'AttestationFailed'],
    ['bare', 'Waiting'],
    ['odd', 'Waiting'],
    ['ready', 'Ready'],
  ]);
});

test('a status that this version knows has no note', async (t) => {
  const { out } = await run(t, object('ubuntu', { imageID: 'x' }), ['ubuntu']);
  assert.doesNotMatch(out, /does not know/);
});

const waiting = (message: string) => ({ conditions: [{ type: 'Ready', status: 'False', reason: 'Waiting', message }] });

test('a watch goes on after the API server was out of reach, and writes that once', async (t) => {
  const outage = status(503, 'ServiceUnavailable', 'it restarts');
  const outages = Array.from({ length: 12 }, () => outage);
  const server = await startServer(
    t,
    json(200, object('ubuntu', waiting('one'))),
    ...outages,
    json(200, object('ubuntu', waiting('two'))),
  );
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  const stop = new AbortController();
  const around = surroundings({ signal: stop.signal });
  const out = {
    ...around.out,
    write(text: string) {
      around.out.write(text);
      if (/two/.test(text)) stop.abort();
    },
  };
  const flags = ['--watch', '--output', 'yaml', '--kubeconfig', kubeconfig];
  const clock = { ...systemClock, sleep: (_: number, signal: AbortSignal) => systemClock.sleep(1, signal) };
  const code = await statusCommand.run(['ubuntu', ...flags], () => ({ ...around, out, clock }));
  assert.equal(code, 0);
  assert.deepEqual(
    parseAllDocuments(around.output()).map((one) => one.toJS().message),
    ['one', 'two'],
  );
  assert.match(around.errors(), /^The status cannot be read, and the watch goes on: .*503.*it restarts\n$/);
});

test('a watch ends with an error where the API server has nothing to read', async (t) => {
  const server = await startServer(
    t,
    json(200, object('ubuntu', waiting('one'))),
    status(404, 'NotFound', 'it is gone'),
  );
  const kubeconfig = await writeKubeconfig(t, server.url, { token: 'token' });
  const around = surroundings();
  assert.equal(await statusCommand.run(['ubuntu', '--watch', '--kubeconfig', kubeconfig], () => around), 1);
  assert.match(around.errors(), /there is no GlanceImage ubuntu/);
});
