/** Exported manifests, taken over by the operator: afterwards nothing is left to do. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { findCondition, isConvergedReason } from '../../src/api/conditions.ts';
import { type GlanceImage, glanceImageSchema } from '../../src/api/glanceimage.ts';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { exportCommand } from '../../src/commands/export.ts';
import { planCommand } from '../../src/commands/plan.ts';
import { eightAtATime } from '../env/eight-at-a-time.ts';
import { qcow2, raw } from '../env/images.ts';
import { eventually } from '../env/wait.ts';
import { World } from '../operator/world.ts';
import { catalogueProperties } from './catalogue-properties.ts';
import { surroundings } from './surroundings.ts';

/** Kinds of images, by name. */
const kinds: Readonly<Record<string, Record<string, unknown>>> = {
  plain: {},
  'Ubuntu 24.04 (Noble) ü': { tags: ['b', 'a'] },
  hidden: { os_hidden: true },
  protected: { protected: true },
  community: { visibility: 'community' },
  shared: { visibility: 'shared' },
  disks: { min_disk: 3, min_ram: 512 },
  qcow2: { disk_format: 'qcow2' },
  kernel: { disk_format: 'aki', container_format: 'aki' },
  archive: { container_format: 'ova' },
  odd: { 'a/b~c': 'x', ü: '漢', empty: '', mappings: '[{"virtual": "ami", "device": "sda"}]' },
  ' ': {},
};

const dataOf = (format: unknown) => (format === 'qcow2' ? qcow2(2 ** 30) : raw(4096));

describe('exported manifests', () => {
  let world: World;
  let folder: string;
  before(async () => {
    world = await World.create();
    folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-export-'));
    writeFileSync(join(folder, 'clouds.yaml'), await world.project.cloudsYaml());
  });
  after(async () => {
    rmSync(folder, { recursive: true });
    await world[Symbol.asyncDispose]();
  });

  const access = () => [
    '--os-cloud',
    'demo',
    '--clouds-yaml',
    join(folder, 'clouds.yaml'),
    '--cloud-allow',
    '127.0.0.0/8',
  ];
  async function run(args: readonly string[]) {
    const around = surroundings();
    const code = await exportCommand.run([...args, ...access()], () => around);
    return { code, out: around.output(), err: around.errors() };
  }

  test('images of every kind and with the properties of catalogues are taken over as they are, and then plan is empty', async () => {
    const { project, namespace } = world;
    const all = [
      ...Object.entries(kinds).map(([name, fields]) => ({ name, ...fields })),
      ...catalogueProperties.map((properties, index) => ({ name: `catalogue ${index}`, ...properties })),
    ];
    await eightAtATime(all, (fields) =>
      project.createImage(fields, 'disk_format' in fields ? dataOf(fields.disk_format) : raw(4096, fields.name)),
    );
    const created = await world.images();
    const [shared, plain] = ['shared', 'plain'].map((name) => created.find((one) => one.name === name)?.id);
    const member = await world.stack.openstack.createProject();
    (await project.image('POST', `/v2/images/${shared}/members`, { member: member.id })).ok();
    (await project.image('POST', `/v2/images/${plain}/actions/deactivate`)).ok();
    const queued = await project.createImage({ name: 'queued' });
    const before = new Map((await world.images()).map((image) => [image.id, image]));

    const directory = join(folder, 'manifests');
    const exported = await run(['--directory', directory, '--namespace', namespace]);
    assert.equal(exported.code, 0, exported.err);
    assert.match(exported.err, new RegExp(`Left out: image ${queued.id} .*has no data`));
    const files = readdirSync(directory);
    assert.equal(files.length, before.size - 1);
    const again = await run(['--directory', directory]);
    assert.equal(again.code, 1);
    assert.match(again.err, /exists: nothing was written/);

    await world.stack.kubernetes.apply(directory);
    await untilAll(files.length, () => true);
    const annotated = await world.stack.kubernetes.kubectl(
      ['annotate', 'gimg', '--all', `${reconcileAtAnnotation}=again`],
      { namespace },
    );
    assert.equal(annotated.code, 0, annotated.stderr);
    await untilAll(files.length, ({ status }) => status.lastHandledReconcileAt === 'again');
    const around = surroundings();
    const kubeconfig = world.stack.kubernetes.kubeconfig(world.user);
    const flags = [
      '--kubeconfig',
      kubeconfig,
      '--namespace',
      namespace,
      '--cloud-allow',
      '127.0.0.0/8',
      '--output',
      'json',
    ];
    const code = await planCommand.run(['--filename', directory, ...flags], () => around);
    assert.equal(code, 0, around.output() + around.errors());

    // Glance sends tags as a set of Python has them, whose order can change from one response to the next.
    const inOrder = <T>(tags: T) => (Array.isArray(tags) ? tags.toSorted() : tags);
    for (const image of await world.images()) {
      const { updated_at: _, tags: tagsNow, ...now } = image;
      const { updated_at: __, tags: tagsThen, ...then } = before.get(image.id) ?? assert.fail();
      assert.deepEqual(inOrder(tagsNow), inOrder(tagsThen));
      const marks = Object.keys(now).filter((key) => key.startsWith('glance_image_operator_'));
      for (const mark of marks) delete now[mark];
      assert.deepEqual(now, then, 'the operator changes nothing but its marks');
    }
  });

  /** Resolves once there are so many resources, and all are Ready and as wanted. */
  async function untilAll(count: number, wanted: (resource: GlanceImage) => boolean): Promise<void> {
    const path = `/apis/glance-image-operator.dev/v1alpha1/namespaces/${world.namespace}/glanceimages`;
    let others: GlanceImage[] = [];
    await eventually(
      async () => {
        const answer = await world.stack.kubernetes.request('GET', path);
        const { items } = answer.as(z.object({ items: z.array(glanceImageSchema) }));
        const isReady = (one: GlanceImage) => isConvergedReason(findCondition(one.status.conditions, 'Ready')?.reason);
        others = items.filter((one) => !isReady(one) || !wanted(one));
        return items.length === count && others.length === 0;
      },
      () => JSON.stringify(others.map(({ metadata, status }) => [metadata.name, status.conditions])),
    );
  }

  test('filters choose images, and without a folder the manifests go to standard output', async () => {
    await world.project.createImage({ name: 'chosen', tags: ['t'], os_distro: 'x=y' }, raw(4096, 'chosen'));
    const chosen = await run(['--name', 'chosen', '--tag', 't', '--property', 'os_distro=x=y']);
    assert.equal(chosen.code, 0, chosen.err);
    assert.match(chosen.out, /^apiVersion: [\s\S]*name: chosen[\s\S]*os_distro: x=y/);
    const none = await run(['--name', 'chosen', '--tag', 'u']);
    assert.deepEqual([none.code, none.out], [0, '']);
    const wrong = await run(['--property', 'os_distro']);
    assert.deepEqual([wrong.code, wrong.err], [1, 'glance-image-operator: --property: "os_distro" is not KEY=VALUE\n']);
  });

  test('a manifest on disk is never half written and never overwritten', () => {
    for (const file of readdirSync(join(folder, 'manifests'))) {
      assert.match(file, /^[a-z0-9.-]+\.yaml$/);
      assert.match(readFileSync(join(folder, 'manifests', file), 'utf8'), /^apiVersion: .*\n[\s\S]*\n$/);
    }
  });
});
