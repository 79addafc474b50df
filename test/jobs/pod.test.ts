/** The command of the pod as a process, with a cloud, a source and an API server that a test scripts. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, type TestContext, test } from 'node:test';
import { UsageError } from '../../src/commands/config.ts';
import { exitCodeOf } from '../../src/commands/exit.ts';
import { transfer } from '../../src/commands/transfer.ts';
import { podExitCodes } from '../../src/jobs/manifest.ts';
import { maxMessageBytes, readMessage } from '../../src/jobs/message.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { reply } from '../openstack/stub.ts';
import { fromSource, start } from '../transfer/program.ts';
import { content, type PodCloudOptions, podCloud } from './pod-cloud.ts';

type Options = Omit<PodCloudOptions, 'certificates'>;

let certificates: Certificates;
before(async () => {
  certificates = await makeCertificates();
});

async function startPod(t: TestContext, options: Options = {}) {
  const cloud = await podCloud(t, { certificates, ...options });
  const args = ['transfer', `--run=${cloud.folder}`, `--termination-message=${cloud.message}`];
  return { cloud, pod: start(fromSource, args) };
}

/** Runs it to its end. */
async function run(t: TestContext, options: Options = {}) {
  const { cloud, pod } = await startPod(t, options);
  const { code, stdout, stderr } = await pod.ended;
  const text = existsSync(cloud.message) ? readFileSync(cloud.message, 'utf8') : undefined;
  return { cloud, code, stdout, stderr, text, outcome: readMessage(text) };
}

const isUpload = (request: string) => request.startsWith('PUT ');

describe('the pod of a transfer', { concurrency: 2 }, () => {
  test('the pod of a transfer fills the image, leaves the result as its message, reports progress and ends with 0', async (t) => {
    const { cloud, code, stdout, stderr, text, outcome } = await run(t);
    assert.equal(code, 0, stderr);
    assert.deepEqual(cloud.stored(), content);
    assert(outcome?.kind === 'succeeded');
    assert.equal(outcome.result.bytes, content.length);
    assert.equal(stdout, `${text}\n`, 'the log has the outcome, too');
    assert.deepEqual(Object.keys(cloud.progress.at(0) ?? {}), ['data']);
    assert.deepEqual(cloud.progress.at(-1), { data: { 'transfer-a': null } }, 'its key is removed at the end');
  });

  const others: [string, object][] = [
    ['has another fingerprint', { glance_image_operator_content: 'v1;sha256:00;Served;Auto;raw;bare' }],
    ['has data', { status: 'active', size: 5 }],
  ];
  for (const [what, image] of others)
    test(`the pod of a transfer sends nothing to an image that ${what}, and ends with 13`, async (t) => {
      const { cloud, code, outcome, stderr } = await run(t, { image });
      assert.equal(code, podExitCodes.fenced, stderr);
      assert(outcome?.kind === 'failed');
      assert.match(outcome.error.message, /is left as it is/);
      assert.deepEqual(cloud.requests.filter(isUpload), []);
      assert(!cloud.requests.includes('GET /image.raw'), 'nothing is downloaded');
    });

  test('the pod of a transfer ends with 10 after a failure that needs a change, and its message has the code', async (t) => {
    const { code, outcome } = await run(t, { plan: { digest: `sha256:${'0'.repeat(64)}` } });
    assert(outcome?.kind === 'failed' && outcome.error.kind === 'operator');
    assert.deepEqual([code, outcome.error.code], [podExitCodes.needsChange, 'DigestMismatch']);
  });

  test('the pod of a transfer ends with 11 after a failure that may pass, with a message of at most 4096 bytes of any failure', async (t) => {
    const { code, outcome, text } = await run(t, {
      onUpload: (response) => reply(response, 409, { message: '€"\\'.repeat(20_000) }),
    });
    assert(outcome?.kind === 'failed' && outcome.error.kind === 'operator');
    assert.deepEqual([code, outcome.error.code, outcome.error.httpStatus], [podExitCodes.mayPass, 'Conflict', 409]);
    assert(Buffer.byteLength(text ?? '') <= maxMessageBytes);
  });

  test('the pod of a transfer that is stopped by a signal ends with 12 and without an outcome', async (t) => {
    const begun = Promise.withResolvers<void>();
    const { cloud, pod } = await startPod(t, {
      onDownload(response) {
        response.writeHead(200, { 'content-length': content.length });
        response.write(content.subarray(0, 50_000));
        begun.resolve();
      },
    });
    await begun.promise;
    pod.kill('SIGTERM');
    const { code, stdout, stderr } = await pod.ended;
    assert.deepEqual([code, stdout, existsSync(cloud.message)], [podExitCodes.cancelled, '', false], stderr);
    assert.equal(cloud.stored(), undefined);
  });

  test('the pod of a transfer reaches source and cloud by the proxy of each, with the credentials of its run', async (t) => {
    const { code, stderr, cloud } = await run(t, { isProxied: true });
    assert.equal(code, 0, stderr);
    assert.deepEqual(cloud.stored(), content);
    const { sources, clouds } = cloud.proxied;
    const basic = (login: string) => `Basic ${Buffer.from(login).toString('base64')}`;
    assert(
      sources.some(({ line }) => line.endsWith('/image.raw')) && clouds.some(({ line }) => line.endsWith('/file')),
    );
    assert(!sources.some(({ line }) => line.endsWith('/file')) && !clouds.some(({ line }) => line.endsWith('.raw')));
    for (const { headers } of sources) assert.equal(headers['proxy-authorization'], basic('sources:one'));
    for (const { headers } of clouds) assert.equal(headers['proxy-authorization'], basic('clouds:two'));
    assert.equal(sources.length + clouds.length, cloud.requests.length, 'nothing goes another way');
  });

  test('the pod of a transfer fills the image although its progress is rejected', async (t) => {
    const { code, stderr, cloud } = await run(t, {
      onProgress: (response) => reply(response, 403, { kind: 'Status', code: 403, reason: 'Forbidden' }),
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(cloud.stored(), content);
    assert.match(stderr, /the progress cannot be reported: .*Forbidden/);
  });

  test('the pod of a transfer ends with 1 and shows no secret where not even its outcome can be written', async (t) => {
    const { folder } = await podCloud(t, { certificates });
    writeFileSync(join(folder, 'access.json'), '{"cloud": {"cloudsYaml": "hunter2"');
    const args = ['transfer', `--run=${folder}`, `--termination-message=${folder}/missing/message`];
    const { code, stdout, stderr } = await start(fromSource, args).ended;
    assert.equal(code, podExitCodes.failed, stderr);
    assert.match(stderr, /no such file/);
    assert(!`${stdout}${stderr}`.includes('hunter2'));
  });

  const wrong: [string[], RegExp][] = [
    [['--run=.', 'plan.json'], /--run has the plan: give no other/],
    [
      ['--run=.', '--clouds-yaml=a', '--ca-bundle', 'b'],
      /--run has all settings: leave out --clouds-yaml, --ca-bundle/,
    ],
    [['--termination-message=m', 'plan.json'], /--termination-message needs --run/],
  ];
  test('the command of the pod with a plan or with other flags is wrong usage, and ends with 2', async () => {
    for (const [args, words] of wrong)
      await assert.rejects(transfer(args), (error) => {
        assert.equal(exitCodeOf(error), podExitCodes.usage);
        return error instanceof UsageError && words.test(error.message);
      });
  });
});
