/** Images of every kind that this cloud can hold, made behind the operator's back: formats, visibilities, members, stores and states. */
import { gpt, mbr, qcow2, raw } from '../env/images.ts';
import { imageRecordSchema } from '../env/project.ts';
import { eventually } from '../env/wait.ts';
import type { World } from './world.ts';

/** They get their data from another client, or never. */
export const withoutData: readonly string[] = ['without data', 'without a name, formats and data'];

/** The IDs by what is special about the image. */
export async function everyKind({ project, stack: { openstack } }: World): Promise<Map<string, string>> {
  const kinds = new Map<string, string>();
  async function make(name: string, fields: object = {}, disk: Buffer | 'none' = raw(4096)): Promise<string> {
    const { id } = await project.createImage({ name, ...fields }, disk === 'none' ? undefined : disk);
    kinds.set(name, id);
    return id;
  }
  const asAdministrator = async (method: string, path: string, body?: unknown) =>
    (await openstack.image(method, `/v2/images/${path}`, body)).ok();

  await make('mbr', {}, mbr());
  await make('gpt', {}, gpt());
  await make('qcow2', { disk_format: 'qcow2' }, qcow2(1024 ** 2));
  await make('iso', { disk_format: 'iso' }, iso());
  await make('kernel', { disk_format: 'aki', container_format: 'aki' });
  await make('hidden', { os_hidden: true });
  await make('protected', { protected: true });
  await make('hidden and protected', { os_hidden: true, protected: true, tags: ['a', 'b'] });
  await make('long properties', { description: '', [''.padEnd(255, 'k')]: ''.padEnd(4096, 'v') });
  for (const visibility of ['private', 'community', 'shared']) await make(visibility, { visibility });
  const published = await make('public');
  await asAdministrator('PATCH', published, [{ op: 'replace', path: '/visibility', value: 'public' }]);
  const deactivated = await make('deactivated');
  await asAdministrator('POST', `${deactivated}/actions/deactivate`);
  await make('without data', {}, 'none');
  const nameless = await project.image('POST', '/v2/images', {});
  kinds.set('without a name, formats and data', nameless.as(imageRecordSchema).id);

  const shared = await make('with members', { visibility: 'shared' });
  for (const status of ['pending', 'accepted', 'rejected']) {
    const member = await openstack.createProject('member');
    (await project.image('POST', `/v2/images/${shared}/members`, { member: member.id })).ok();
    if (status !== 'pending') (await member.image('PUT', `/v2/images/${shared}/members/${member.id}`, { status })).ok();
  }

  const copied = await make('in two stores');
  await asAdministrator('POST', `${copied}/import`, { method: { name: 'copy-image' }, stores: ['slow'] });
  let seen: unknown;
  await eventually(
    async () => {
      const image = await project.getImage(copied);
      const { stores, os_glance_importing_to_stores: left, os_glance_import_task: lock } = image;
      seen = image;
      // Glance lists the stores in the order of its database.
      const hasBoth = String(stores).split(',').sort().join() === 'fast,slow';
      return hasBoth && !left && !lock;
    },
    () => `the image is not in both stores: ${JSON.stringify(seen)}`,
  );
  return kinds;
}

/** What tools recognise a file system of ISO 9660 by. */
function iso(): Buffer {
  const disk = raw(64 * 1024);
  disk.write('\x01CD001\x01', 32_768, 'latin1');
  return disk;
}
