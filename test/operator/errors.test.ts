import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { GlanceImage } from '../../src/api/glanceimage.ts';
import { generated } from '../env/content.ts';
import { raw } from '../env/images.ts';
import { claimPort } from './closed-port.ts';
import { digestOf } from './digest.ts';
import { messageOf, newestID, World } from './world.ts';

const body = raw(256 * 1024);
const digest = digestOf(body);

/** Every failure has a cause with its own message, and says what happens next. */
function assertTold(
  resource: GlanceImage,
  expected: { message: RegExp; httpStatus?: number; stalled?: boolean },
): void {
  assert.match(messageOf(resource), expected.message);
  const { lastError, nextAttemptTime, conditions = [] } = resource.status;
  assert.equal(lastError?.httpStatus, expected.httpStatus, 'the HTTP status');
  if (expected.httpStatus !== undefined && expected.httpStatus !== 404) assert.ok(lastError?.requestID ?? true);
  assert.ok(nextAttemptTime, 'when it looks again');
  assert.match(messageOf(resource), /Attempt \d+ failed/);
  const types = conditions.map(({ type }) => type);
  assert.ok(types.includes(expected.stalled ? 'Stalled' : 'Reconciling'), `conditions are ${types}`);
}

describe('failures of credentials and clouds reach the status', () => {
  let world: World;
  before(async () => {
    world = await World.create();
  });
  after(() => world[Symbol.asyncDispose]());

  const cloud = (secretName: string, name = 'demo', more = {}) => ({
    cloud: { secretRef: { name: secretName }, name, ...more },
  });

  test('a missing Secret reaches the status', async () => {
    await world.apply('no-secret', cloud('missing'));
    const resource = await world.reason('no-secret', 'SecretNotFound');
    assertTold(resource, { message: /there is no Secret "missing".*create it with a key clouds.yaml/ });
  });

  test('a Secret that appears later is used without a restart', async () => {
    await world.apply('late-secret', cloud('late'));
    await world.reason('late-secret', 'SecretNotFound');
    await world.writeSecret('late', { 'clouds.yaml': await world.project.cloudsYaml() });
    await world.ready('late-secret');
  });

  test('a Secret without clouds.yaml reaches the status', async () => {
    await world.writeSecret('wrong-key', { 'cloud.yaml': 'x' });
    await world.apply('wrong-key', cloud('wrong-key'));
    const resource = await world.reason('wrong-key', 'SecretInvalid');
    assertTold(resource, { message: /has no key clouds.yaml: add it/, stalled: true });
  });

  test('a clouds.yaml that is not YAML reaches the status', async () => {
    await world.writeSecret('not-yaml', { 'clouds.yaml': 'clouds: {demo: [' });
    await world.apply('not-yaml', cloud('not-yaml'));
    assertTold(await world.reason('not-yaml', 'SecretInvalid'), { message: /YAML/, stalled: true });
  });

  test('an unknown cloud name reaches the status', async () => {
    await world.apply('no-cloud', cloud('openstack', 'prod'));
    const resource = await world.reason('no-cloud', 'CloudNotFound');
    assertTold(resource, { message: /prod.*demo/, stalled: true });
  });

  test('an unknown auth_type and a file path reach the status', async () => {
    await world.writeSecret('odd-auth', {
      'clouds.yaml': await world.project.cloudsYaml({ extra: { auth_type: 'v3kerberos' } }),
    });
    await world.writeSecret('path', {
      // Without TLS the path would not be used.
      'clouds.yaml': (await world.project.cloudsYaml({ extra: { cacert: '/etc/passwd' } })).replace('http:', 'https:'),
    });
    await world.apply('odd-auth', cloud('odd-auth'));
    await world.apply('path', cloud('path'));
    assertTold(await world.reason('odd-auth', 'SecretInvalid'), {
      message: /auth_type v3kerberos is none of password/,
      stalled: true,
    });
    assertTold(await world.reason('path', 'SecretInvalid'), { message: /cacert/, stalled: true });
  });

  test('a wrong password reaches the status, and a corrected Secret recovers', async () => {
    const right = await world.project.cloudsYaml();
    const { password } = world.project.accounts.member;
    await world.writeSecret('wrong-password', { 'clouds.yaml': right.replace(password, 'wrong-password-canary') });
    await world.apply('wrong-password', cloud('wrong-password'));
    const resource = await world.reason('wrong-password', 'AuthenticationFailed');
    assertTold(resource, { message: /Keystone/, httpStatus: 401 });
    assert.ok(!JSON.stringify(resource).includes('canary'), 'the password is not shown');
    await world.writeSecret('wrong-password', { 'clouds.yaml': right });
    await world.ready('wrong-password');
  });

  test('an unreachable Keystone reaches the status', async () => {
    const authUrl = `http://127.0.0.1:${await claimPort()}/v3`;
    await world.writeSecret('no-keystone', { 'clouds.yaml': await world.project.cloudsYaml({ authUrl }) });
    await world.apply('no-keystone', cloud('no-keystone'));
    assertTold(await world.reason('no-keystone', 'IdentityUnavailable'), { message: /Keystone.*127\.0\.0\.1/ });
  });

  test('a cloud at an address that the egress policy blocks reaches the status', async () => {
    const authUrl = 'http://[::1]:9/v3';
    await world.writeSecret('blocked', { 'clouds.yaml': await world.project.cloudsYaml({ authUrl }) });
    await world.apply('blocked', cloud('blocked'));
    assertTold(await world.reason('blocked', 'EgressRefused'), { message: /--cloud-allow/, stalled: true });
  });

  test('a region without an image endpoint reaches the status', async () => {
    await world.apply('no-endpoint', cloud('openstack', 'demo', { region: 'Mars' }));
    assertTold(await world.reason('no-endpoint', 'EndpointNotFound'), { message: /Mars.*RegionOne/, stalled: true });
  });

  test('an unreachable Glance reaches the status', async () => {
    const imageUrl = `http://127.0.0.1:${await claimPort()}`;
    await world.writeSecret('no-glance', { 'clouds.yaml': await world.project.cloudsYaml({ imageUrl }) });
    await world.apply('no-glance', cloud('no-glance'));
    assertTold(await world.reason('no-glance', 'GlanceUnreachable'), { message: /Glance.*127\.0\.0\.1.*refused/i });
  });

  test('a read-only role reaches the status as a 403', async () => {
    await world.writeSecret('reader', { 'clouds.yaml': await world.project.cloudsYaml({ user: 'reader' }) });
    await world.apply('reader', cloud('reader'));
    assertTold(await world.reason('reader', 'Forbidden'), {
      message: /Glance returned 403/,
      httpStatus: 403,
      stalled: true,
    });
  });
});

describe('failures of data reach the status, and nothing becomes active', () => {
  let world: World;
  before(async () => {
    world = await World.create();
  });
  after(() => world[Symbol.asyncDispose]());

  const http = (url: string, declared = digest) => ({
    image: { diskFormat: 'raw' },
    content: { http: { url, digest: declared } },
  });

  async function assertNotActive(resource: GlanceImage): Promise<void> {
    const images = await world.images();
    const own = images.filter(({ id }) => id === newestID(resource));
    assert.ok(
      own.every(({ status }) => status !== 'active'),
      JSON.stringify(own),
    );
  }

  test('an exceeded image quota reaches the status as a 413', async () => {
    const other = await world.stack.openstack.createProject();
    await other.setLimit('image_count_total', 0);
    await world.writeSecret('quota', { 'clouds.yaml': await other.cloudsYaml() });
    await world.apply('quota', { cloud: { secretRef: { name: 'quota' }, name: 'demo' } });
    assertTold(await world.reason('quota', 'QuotaExceeded'), { message: /Glance returned 413/, httpStatus: 413 });
    await other.setLimit('image_count_total', 10);
    await world.annotate('quota', 'glance-image-operator.dev/reconcile-at', '1');
    await world.ready('quota');
  });

  test('an exceeded size quota reaches the status as a 413, and a raised one recovers', async () => {
    const other = await world.stack.openstack.createProject();
    await world.writeSecret('bytes', { 'clouds.yaml': await other.cloudsYaml() });
    await other.createImage({}, raw(2 * 2 ** 20));
    await other.setLimit('image_size_total', 1);
    const url = world.source.add('/quota.raw', { body });
    await world.apply('bytes', { ...http(url), cloud: { secretRef: { name: 'bytes' }, name: 'demo' } });
    assertTold(await world.reason('bytes', 'QuotaExceeded'), { message: /Glance returned 413/, httpStatus: 413 });
    await other.setLimit('image_size_total', 10);
    await world.annotate('bytes', 'glance-image-operator.dev/reconcile-at', '1');
    await world.ready('bytes');
  });

  test('a file larger than the remaining quota fails before its bytes are sent', async () => {
    const other = await world.stack.openstack.createProject();
    await other.setLimit('image_size_total', 1);
    await world.writeSecret('small', { 'clouds.yaml': await other.cloudsYaml() });
    const released = new Promise(() => {});
    const url = world.source.add('/huge.raw', { body: generated(21 * 2 ** 30), gate: { at: 2 ** 20, released } });
    await world.apply('huge', { ...http(url), cloud: { secretRef: { name: 'small' }, name: 'demo' } });
    assertTold(await world.reason('huge', 'QuotaExceeded'), { message: /Glance returned 413/, httpStatus: 413 });
    assert.deepEqual(
      (await other.listImages()).map(({ status }) => status),
      ['queued'],
    );
  });

  test('a file with only the signature of its format fails before Glance sees it', async () => {
    const fake = Buffer.concat([Buffer.from('KDMV'), raw(1 << 20)]);
    const url = world.source.add('/fake.vmdk', { body: fake });
    await world.apply('fake', { image: { diskFormat: 'vmdk' }, content: { http: { url, digest: digestOf(fake) } } });
    const resource = await world.reason('fake', 'FormatMismatch');
    assertTold(resource, { message: /is a vmdk image that cannot be used/, stalled: true });
    await assertNotActive(resource);
  });

  test('an HTML page instead of an image reaches the status', async () => {
    const page = Buffer.from('<!DOCTYPE html><html><body>Please log in</body></html>');
    const url = world.source.add('/page', { body: page });
    await world.apply('page', { image: { diskFormat: 'qcow2' }, content: { http: { url, digest: digestOf(page) } } });
    const resource = await world.reason('page', 'FormatMismatch');
    assert.match(messageOf(resource), /page/);
    await assertNotActive(resource);
  });

  test('a source that returns 404 reaches the status', async () => {
    await world.apply('missing', http(`${world.source.url}/missing.raw`));
    const resource = await world.reason('missing', 'SourceNotFound');
    assertTold(resource, { message: /responded with 404/, httpStatus: 404 });
    await assertNotActive(resource);
  });

  test('an unreachable source reaches the status', async () => {
    await world.apply('refused', http(`http://127.0.0.1:${await claimPort()}/a.raw`));
    const resource = await world.reason('refused', 'SourceUnreachable');
    assertTold(resource, { message: /127\.0\.0\.1.*refused/i });
    await assertNotActive(resource);
  });

  test('a source that is too short reaches the status', async () => {
    const url = world.source.add('/short.raw', { body, contentLength: body.length + 1000 });
    await world.apply('short', http(url));
    const resource = await world.reason('short', 'SourceTooShort');
    assertTold(resource, { message: new RegExp(`${body.length}`) });
    await assertNotActive(resource);
  });

  test('a wrong digest reaches the status', async () => {
    const url = world.source.add('/other.raw', { body });
    await world.apply('digest', http(url, digestOf(Buffer.from('other'))));
    const resource = await world.reason('digest', 'DigestMismatch');
    // The server has no public address, so the message has only the declared one.
    assertTold(resource, { message: new RegExp(digestOf(Buffer.from('other'))), stalled: true });
    assert.ok(!messageOf(resource).includes(digest));
    await assertNotActive(resource);
  });

  test('a source that fails at first is retried until it works', async () => {
    const url = world.source.add('/flaky.raw', { body, fault: { kind: 'answer', status: 503 }, times: 5 });
    await world.apply('flaky', http(url));
    const { status } = await world.ready('flaky');
    assert.equal(status.lastError, undefined);
    const warnings = (await world.events()).filter(({ reason }) => reason === 'SourceUnavailable');
    assert.equal(warnings.length, 1, 'one event for the failure, not one for each try');
  });

  test('an address blocked by the egress policy reaches the status', async () => {
    await world.apply('egress', http('http://[::1]:9/x.raw'));
    assertTold(await world.reason('egress', 'EgressRefused'), { message: /--source-allow/, stalled: true });
    const { image, content } = http('http://[::1]:9/x.raw', digestOf(body, 'sha512'));
    await world.apply('import', { image, content: { ...content, method: 'WebDownload' } });
    const resource = await world.reason('import', 'EgressRefused');
    assertTold(resource, { message: /--source-allow/, stalled: true });
    await assertNotActive(resource);
  });

  test('a property reserved by Glance reaches the status', async () => {
    await world.apply('reserved', { image: { properties: { os_glance_x: 'y' } } });
    assertTold(await world.reason('reserved', 'InvalidSpec'), { message: /os_glance_x/, stalled: true });
  });
});
