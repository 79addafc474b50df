import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { ImageNotFound, InvalidRequest } from '../../src/glance/errors.ts';
import { type ConnectOptions, connectImageService } from '../../src/library/connect.ts';
import { createImageService } from '../../src/library/service.ts';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { reply, serve } from '../openstack/stub.ts';

// A Glance without authentication needs a policy of its own, which the real one of the stack does not have.
test('on a cloud that asks for nothing the service decides who may have an image, by the project of clouds.yaml', async (t) => {
  const seen: (string | undefined)[] = [];
  const url = await serve(t, (request, response) => {
    seen.push(request.headers['x-auth-token']?.toString());
    if (request.url === '/v2/schemas/image') return reply(response, 404, {});
    reply(response, 200, wireImage({ visibility: 'private', owner_id: 'ours' }));
  });
  const connect = (project_id: string) => {
    const entry = { auth_type: 'none', auth: { project_id }, image_endpoint_override: url };
    const images = connectImageService({ cloudsYaml: stringify({ clouds: { open: entry } }), cloud: 'open' });
    t.after(() => images.close());
    return images;
  };
  assert.equal((await connect('ours').show(imageId)).properties['owner_id'], 'ours');
  await assert.rejects(connect('theirs').show(imageId), ImageNotFound);
  // The one for another endpoint is of the same mind.
  await using elsewhere = connect('theirs').at(url);
  await assert.rejects(elsewhere.show(imageId), ImageNotFound);
  assert.deepEqual(new Set(seen), new Set([undefined]));
});

test('an invalid clouds.yaml is rejected before any call', () => {
  for (const cloudsYaml of ['', 'clouds: {}', 'clouds: {demo: {}}', '{']) {
    assert.throws(() => connectImageService({ cloudsYaml, cloud: 'demo' }), ConfigurationError);
  }
});

const usable = stringify({ clouds: { demo: { auth_type: 'none', image_endpoint_override: 'http://127.0.0.1:1' } } });

/** Options of a caller in JavaScript, with what the message names. */
const wrongOptions: [option: Record<string, unknown>, message: RegExp][] = [
  [{ cloudsYaml: 7 }, /^cloudsYaml: expected string/],
  [{ secureYaml: {} }, /^secureYaml: expected string/],
  [{ cacert: Buffer.from('x') }, /^cacert: expected string/],
  [{ cert: 7 }, /^cert: expected string/],
  [{ key: 7 }, /^key: expected string/],
  [{ cloud: 7 }, /^cloud: expected string/],
  [{ region: 7 }, /^region: expected string/],
  [{ privilegedCloud: true }, /^privilegedCloud: expected string/],
  [{ retries: -1 }, /^retries: /],
  [{ retries: 'x' }, /^retries: expected number/],
  [{ retries: 1e9 }, /^retries: /],
  [{ trustedEndpoints: 'https://glance.example.com' }, /^trustedEndpoints: expected array/],
  [{ trustedEndpoints: null }, /^trustedEndpoints: expected array/],
  [{ trustedEndpoints: ['glance.example.com:9292'] }, /^trustedEndpoints.0: expected an http or https URL/],
  [
    { trustedEndpoints: ['https://glance.example.com', 'file:///x'] },
    /^trustedEndpoints.1: expected an http or https URL/,
  ],
  [{ fileDirectories: '/var/lib/glance' }, /^fileDirectories: expected array/],
  [{ fileDirectories: ['images'] }, /^fileDirectories.0: expected an absolute path/],
  [{ signatures: 'off' }, /^signatures: /],
  [{ requester: null }, /^requester: expected object/],
  [{ requester: { token: 'no' } }, /^requester.token: expected boolean/],
  [{ requester: { admin: true } }, /^requester.token: /],
  [{ pageSize: 0 }, /^pageSize: /],
  [{ pageSize: 'x' }, /^pageSize: expected number/],
  [{ newId: 'x' }, /^newId: expected a function/],
  [{ certificates: {} }, /^certificates: expected an object with the function get/],
];

test('an option of a wrong type or form is an InvalidRequest that names it, before any call', () => {
  for (const [option, message] of wrongOptions) {
    const options: ConnectOptions = Object.assign({ cloudsYaml: usable, cloud: 'demo' }, option);
    assert.throws(
      () => connectImageService(options),
      (error) => error instanceof InvalidRequest && message.test(error.message),
      JSON.stringify(option),
    );
  }
});

test('a service for a session checks its options like a connected one', async () => {
  const connected = connectImageService({ cloudsYaml: usable, cloud: 'demo', pageSize: 1, retries: 0, region: 'r' });
  await connected.close();
  for (const [option, message] of wrongOptions.slice(-10)) {
    assert.throws(
      () => createImageService(Object.create(null), option),
      (error) => error instanceof InvalidRequest && message.test(error.message),
      JSON.stringify(option),
    );
  }
});

test('an address that is no URL is never taken for a trusted one', async () => {
  await using images = connectImageService({
    cloudsYaml: usable,
    cloud: 'demo',
    trustedEndpoints: ['http://glance.example.com'],
  });
  for (const endpoint of ['glance.example.com', 'localhost:9292', 'ftp://glance.example.com', '', 'http://']) {
    assert.throws(() => images.at(endpoint), /^InvalidRequest: endpoint: expected an http or https URL/, endpoint);
  }
});
