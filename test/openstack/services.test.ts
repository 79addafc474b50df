import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigurationError } from '../../src/openstack/errors.ts';
import { auth, parse } from './clouds-text.ts';

const image = (some: object, region?: string) => parse({ auth, ...some }, region).services.image;
const keys = (some: object, region?: string) =>
  parse({ auth, region_name: 'R', ...some }, region).services['key-manager'];

test('the region and interface of the image service come from the argument, then image_*, then the general setting', () => {
  const both = {
    region_name: 'R',
    image_region_name: 'I',
    interface: 'public',
    image_interface: ['internal', 'public'],
  };
  assert.equal(image({}).region, undefined);
  assert.equal(image({ region_name: 'R' }).region, 'R');
  assert.equal(image(both).region, 'I');
  assert.equal(image(both, 'A').region, 'A');
  assert.deepEqual(image(both).interfaces, ['internal', 'public']);
  assert.deepEqual(image({}).interfaces, ['public']);
  assert.deepEqual(image({ endpoint_type: 'adminURL' }).interfaces, ['admin']);
});

test('endpoint_type overrides interface, and image_endpoint is an address, as in openstacksdk', () => {
  assert.deepEqual(image({ interface: 'admin', endpoint_type: 'internal' }).interfaces, ['internal']);
  assert.deepEqual(image({ image_endpoint_type: 'internal' }).interfaces, ['internal']);
  assert.deepEqual(keys({ key_manager_endpoint_type: 'internal' }).interfaces, ['internal']);
  assert.deepEqual(image({ image_endpoint: 'https://glance:9292' }).override, ['https://glance:9292/']);
  assert.deepEqual(keys({ key_manager_endpoint: 'https://keys' }).override, ['https://keys/']);
  const both = { image_endpoint: 'https://old', image_endpoint_override: 'https://new' };
  assert.deepEqual(image(both).override, ['https://new/']);
});

test('the region of a service is filled into its address', () => {
  const image_endpoint_override = 'https://{region_name}.img.example.com/v2';
  const key_manager_endpoint_override = 'https://{region_name}.keys.example.com';
  assert.deepEqual(image({ image_endpoint_override }, 'one').override, ['https://one.img.example.com/v2']);
  assert.deepEqual(keys({ key_manager_endpoint_override }).override, ['https://r.keys.example.com/']);
});

test('the key manager has its own override, interface and region', () => {
  const own = { key_manager_region_name: 'K', key_manager_interface: 'internal' };
  assert.equal(keys({}).region, 'R');
  assert.deepEqual([keys(own, 'A').region, keys(own, 'A').interfaces], ['K', ['internal']]);
  assert.equal(keys({}, 'A').region, 'A');
  assert.deepEqual(keys({ key_manager_endpoint_override: 'https://k/b' }).override, ['https://k/b']);
  assert.equal(keys({ key_manager_service_name: 'barbican' }).name, 'barbican');
});

test('an address setting is one address or a list, with or without a scheme', () => {
  for (const [given, expected] of [
    ['https://glance/image/v2', ['https://glance/image/v2']],
    ['glance:9292', ['http://glance:9292/']],
    ['glance', ['http://glance/']],
    ['10.0.0.1:9292/image', ['http://10.0.0.1:9292/image']],
    ['[::1]:9292', ['http://[::1]:9292/']],
    [
      ['a:1', 'https://b', 'a:1'],
      ['http://a:1/', 'https://b/'],
    ],
  ] as const) {
    assert.deepEqual(image({ image_endpoint_override: given }).override, expected);
  }
});

test("Cinder's glance_catalog_info is accepted as image_catalog_info, and more specific settings override it", () => {
  const of = (image_catalog_info: string, more: object = {}) => {
    const { type, name, interfaces } = image({ image_catalog_info, interface: 'admin', ...more });
    return [type, name, ...interfaces];
  };
  assert.deepEqual(of('image:glance:publicURL'), ['image', 'glance', 'public']);
  assert.deepEqual(of('image::internalURL'), ['image', undefined, 'internal']);
  assert.deepEqual(of('imagev2:glance2:internal'), ['imagev2', 'glance2', 'internal']);
  const more = { image_service_name: 'other', image_interface: 'public' };
  assert.deepEqual(of('image:glance:internalURL', more), ['image', 'other', 'public']);
});

const malformed = [
  'image',
  'image:glance',
  'image:glance:publicURL:more',
  ':glance:publicURL',
  'image:glance:',
  'a:b:c',
];
const refusals: [name: string, some: object, message: RegExp][] = [
  ...malformed.map((triple): [string, object, RegExp] => [
    `the triple ${triple}`,
    { image_catalog_info: triple },
    /image_catalog_info is not service_type:service_name:endpoint_type, where the last is one of public, internal, admin/,
  ]),
  [
    'a file as its address',
    { image_endpoint_override: 'file:///etc/passwd' },
    /image_endpoint_override is not an http/,
  ],
  ...['https://{profile}.g', 'https://g/v1/%(project_id)s', 'https://g/$(tenant_id)s'].map(
    (address): [string, object, RegExp] => [
      `the address ${address}`,
      { image_endpoint_override: address },
      /image_endpoint_override contains a placeholder other than {region_name}: write its value out/,
    ],
  ),
  [
    'a placeholder in its address and no region',
    { image_endpoint_override: 'https://{region_name}.g' },
    /image_endpoint_override contains {region_name}, but there is no region_name/,
  ],
  ['an address without a host', { image_endpoint_override: '//' }, /image_endpoint_override is not an http/],
  [
    'an address with a password',
    { image_endpoint_override: 'http://u:s3cret-value@g' },
    /must not have a user, a query/,
  ],
  [
    'a password in a list',
    { image_endpoint_override: ['g', 'http://u:s3cret-value@g'] },
    /must not have a user, a query/,
  ],
  ['an empty list', { image_endpoint_override: [] }, /image_endpoint_override is not/],
  [
    'a key manager address with a query',
    { key_manager_endpoint_override: 'k?x=1' },
    /key_manager_endpoint_override must not have a user/,
  ],
  ['an unknown interface', { interface: 'secret' }, /interface is none of public, internal, admin/],
  ['an empty list of interfaces', { interface: [] }, /interface /],
];

for (const [name, some, message] of refusals) {
  test(`a service with ${name} is rejected with one sentence`, () => {
    assert.throws(
      () => image(some),
      (error) => {
        assert.ok(error instanceof ConfigurationError);
        assert.match(error.message, message);
        assert.ok(!error.message.includes('s3cret-value'));
        return true;
      },
    );
  });
}
