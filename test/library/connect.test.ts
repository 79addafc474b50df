import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { ImageNotFound } from '../../src/glance/errors.ts';
import { connectImageService } from '../../src/library/connect.ts';
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
