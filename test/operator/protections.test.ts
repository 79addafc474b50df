/**
 * The operator at a Glance with property protections and an import plugin that sets metadata.
 *
 * Invariant: a right that the operator lacks on one of its marks is named before any byte moves; properties that the cloud keeps or
 * sets do not prevent the rest.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, contentProperty, markProperties, ownerProperty } from '../../src/image/model/identity.ts';
import { raw } from '../env/images.ts';
import { type OtherCloud, startOtherGlance } from '../env/other-glance.ts';
import type { Project } from '../env/project.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { digestOf } from './digest.ts';
import { messageOf, newestID, reasonOf, World } from './world.ts';

const rights = ['create', 'read', 'update', 'delete'] as const;
type Right = (typeof rights)[number];

/** Each denied right on each mark has a role of its own, which lacks just that. */
const denials = markProperties.flatMap((property) => rights.map((right) => ({ property, right })));
const roleFor = ({ property, right }: { property: string; right: Right }) =>
  `no-${right}-${property.replaceAll('_', '-')}`;
const roles = denials.map(roleFor);

/** A section of the file. `of`: the roles that have the right. */
function rule(pattern: string, of: (right: Right) => readonly string[]): string {
  return [`[${pattern}]`, ...rights.map((right) => `${right} = ${of(right).join(',')}`), ''].join('\n');
}

const full = 'unprotected';
const protections = [
  ...markProperties.map((property) =>
    rule(`^${property}$`, (right) => [
      'admin',
      'service',
      full,
      ...roles.filter((role) => role !== roleFor({ property, right })),
    ]),
  ),
  rule('^cloud_.*', (right) => (right === 'read' ? ['admin', 'service', 'member'] : ['admin', 'service'])),
  rule('.*', () => ['admin', 'service', 'member']),
].join('\n');

const body = raw(64 * 1024);
const digest = digestOf(body);

describe('property protections', () => {
  let stack: Stack;
  let cloud: OtherCloud;
  let glance: FaultProxy;
  let world: World;
  before(async () => {
    stack = await connectStack();
    cloud = await startOtherGlance(stack, {
      sections: {
        DEFAULT: { property_protection_file: 'property-protections.conf' },
        image_import_opts: { image_import_plugins: '[inject_image_metadata]' },
        inject_metadata_properties: { ignore_user_roles: 'admin', inject: 'vendor_id:acme' },
      },
      files: { 'property-protections.conf': protections },
    });
    glance = await startProxy({ url: cloud.openstack.imageUrl });
    world = await World.create({ stack, clouds: { imageUrl: glance.url } });
    await give(world.project, await roleNamed(full));
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
    await glance?.[Symbol.asyncDispose]();
    await cloud?.[Symbol.asyncDispose]();
  });

  const created = z.object({ role: z.object({ id: z.string() }) });
  const found = z.object({ roles: z.array(z.object({ id: z.string() })) });

  async function roleNamed(name: string): Promise<string> {
    const { openstack } = stack;
    const [known] = (await openstack.identity('GET', `/roles?name=${name}`)).as(found).roles;
    return known?.id ?? (await openstack.identity('POST', '/roles', { role: { name } })).as(created).role.id;
  }

  async function give({ id, accounts }: Project, role: string): Promise<void> {
    (await stack.openstack.identity('PUT', `/projects/${id}/users/${accounts.member.id}/roles/${role}`)).ok();
  }

  /** A resource of a user who lacks one right. */
  async function denied(name: string, denial: { property: string; right: Right }, url: string): Promise<Project> {
    const project = await stack.openstack.createProject(name);
    await give(project, await roleNamed(roleFor(denial)));
    await world.writeSecret(name, { 'clouds.yaml': await project.cloudsYaml({ imageUrl: glance.url }) });
    const spec = {
      cloud: { secretRef: { name }, name: 'demo' },
      image: { diskFormat: 'raw' },
      content: { http: { url, digest } },
    };
    await world.apply(name, spec);
    return project;
  }

  for (const property of markProperties) {
    for (const right of rights) {
      const name = roleFor({ property, right });
      const isNeeded = right === 'create' || right === 'read';
      if (isNeeded) {
        test(`a denied right to ${right} ${property} is reported in one sentence before any byte moves`, async () => {
          const project = await denied(name, { property, right }, world.source.add(`/${name}.raw`, { body }));
          const reported = await world.reason(name, 'PropertyProtected');
          assert.match(messageOf(reported), new RegExp(`does not let the operator ${right} the property ${property}`));
          await world.annotate(name, reconcileAtAnnotation, '1');
          await world.until(name, 'tried again', ({ status }) => status.lastHandledReconcileAt === '1');
          assert.equal(reasonOf(await world.reason(name, 'PropertyProtected')), 'PropertyProtected');
          assert.equal(world.source.requests.filter(({ path }) => path === `/${name}.raw`).length, 0);
          const images = await project.listImages();
          assert.equal(images.length, right === 'create' ? 0 : 1, 'no second image');
          assert.ok(images.every(({ status }) => status === 'queued'));
          await world.delete(name);
          await world.gone(name);
          assert.deepEqual(await project.listImages(), []);
        });
        continue;
      }
      test(`a denied right to ${right} ${property} does not prevent an image, nor its deletion`, async () => {
        const project = await denied(name, { property, right }, world.source.add(`/${name}.raw`, { body }));
        await world.ready(name);
        await world.delete(name);
        await world.gone(name);
        assert.deepEqual(await project.listImages(), []);
      });
    }
  }

  test('a denied right to update the fingerprint is reported when the content changes before the upload', async () => {
    const missing = new URL('/nothing.raw', world.source.add('/something.raw', { body })).href;
    await denied('edited', { property: contentProperty, right: 'update' }, missing);
    await world.reason('edited', 'SourceNotFound');
    const { spec } = (await world.get('edited')) ?? assert.fail();
    const other = raw(64 * 1024, 'other');
    const url = world.source.add('/other.raw', { body: other });
    await world.apply('edited', { ...spec, content: { http: { url, digest: digestOf(other) } } });
    const reported = await world.reason('edited', 'PropertyProtected');
    assert.match(messageOf(reported), new RegExp(`does not let the operator update the property ${contentProperty}`));
    assert.equal(world.source.requests.filter(({ path }) => path === '/other.raw').length, 0);
  });

  test('a property that the cloud keeps is left with a Warning, and everything else is applied', async () => {
    const spec = (image: object) => ({
      image: { diskFormat: 'raw', ...image },
      content: { http: { url: world.source.add('/kept.raw', { body }), digest } },
    });
    await world.apply('kept', spec({ tags: ['a'], properties: { color: 'blue' } }));
    const { status } = await world.ready('kept');
    const add = [{ op: 'add', path: '/cloud_vendor', value: 'acme' }];
    (await stack.openstack.image('PATCH', `/v2/images/${status.imageID}`, add)).ok();
    await world.apply('kept', spec({ tags: ['b'], properties: { shape: 'round' } }));
    const { status: after } = await world.ready('kept');
    const image = await world.project.getImage(status.imageID ?? '');
    assert.deepEqual(
      [image.tags, image['shape'], image['color'], image['cloud_vendor']],
      [['b'], 'round', undefined, 'acme'],
    );
    assert.equal(after.imageID, status.imageID);
    const warning = after.conditions?.find(({ type }) => type === 'Warning');
    assert.equal(warning?.reason, 'PropertyNotRemovable');
    assert.match(warning?.message ?? '', /"cloud_vendor"/);
    const from = glance.requests.length;
    await world.annotate('kept', reconcileAtAnnotation, '1');
    await world.until('kept', 'looked at again', (now) => now.status.lastHandledReconcileAt === '1');
    const patches = glance.requests.slice(from).filter(({ method }) => method === 'PATCH');
    assert.deepEqual(patches, [], 'the denied removal is not tried again each time');
  });

  test('a property that an import plugin has set stays, although the policy is to purge', async () => {
    const url = world.source.add('/staged.raw', { body });
    const spec = { image: { diskFormat: 'raw' }, content: { http: { url, digest }, method: 'Stage' } };
    await world.apply('staged', spec);
    const { status } = await world.ready('staged');
    assert.equal((await world.project.getImage(status.imageID ?? ''))['vendor_id'], 'acme');
    await world.patchImage(status.imageID, [{ op: 'add', path: '/stray', value: 'x' }]);
    await world.apply('staged', { ...spec, image: { ...spec.image, tags: ['t'] } });
    const { status: after } = await world.ready('staged');
    const image = await world.project.getImage(status.imageID ?? '');
    assert.deepEqual([image.tags, image['vendor_id'], image['stray']], [['t'], 'acme', undefined]);
    assert.equal(newestID({ status: after }), status.imageID);
    for (const mark of [ownerProperty, clusterProperty]) assert.equal(typeof image[mark], 'string');
  });
});
