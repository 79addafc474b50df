/**
 * Sets up a cloud before its first tenant: the service project, Glance's user and catalog entry, the roles, and
 * generous default quotas.
 *
 * Invariant: the result is the same for every stack, so it is made once and kept in the template databases.
 */
import { z } from 'zod';
import { glancePassword } from './glance.ts';
import type { Session } from './session.ts';

export const adminPassword = 'admin';
export const region = 'RegionOne';

/** The data of the bootstrapped cloud that later runs need. */
export const cloudSchema = z.object({
  imageServiceId: z.string(),
  imageEndpointId: z.string(),
  adminProjectId: z.string(),
  memberRoleId: z.string(),
  readerRoleId: z.string(),
});
export type Cloud = z.infer<typeof cloudSchema>;

/**
 * The quotas of a project unless a test sets others: sizes in MiB, and counts. Glance takes an unregistered quota for
 * zero, and would reject everything.
 */
const defaultLimits = {
  image_size_total: 1024 * 1024,
  image_stage_total: 1024 * 1024,
  image_count_total: 100_000,
  image_count_uploading: 1_000,
} as const;
export type LimitName = keyof typeof defaultLimits;

const named = z.object({ id: z.string(), name: z.string() });
const listOf = <Name extends string>(name: Name) => z.object({ [name]: z.array(named) });

/** Keystone as `keystone-manage bootstrap` leaves it, to a cloud with an image service at `imageUrl`. */
export async function bootstrapCloud(admin: Session, authUrl: string, imageUrl: string): Promise<Cloud> {
  const call = async (method: string, path: string, body?: unknown) =>
    (await admin.ask(method, `${authUrl}${path}`, body)).ok();
  const create = async (collection: string, kind: string, value: object): Promise<string> => {
    const answer = await call('POST', `/${collection}`, { [kind]: value });
    return z.object({ id: z.string() }).parse(z.record(z.string(), z.unknown()).parse(answer.json)[kind]).id;
  };
  const find = async (collection: string, name: string) =>
    (await call('GET', `/${collection}?name=${name}`)).as(listOf(collection))[collection]?.[0];
  const idOf = async (collection: string, name: string): Promise<string> => {
    const found = await find(collection, name);
    if (found === undefined) throw new Error(`Keystone has no ${name} among its ${collection}`);
    return found.id;
  };

  const project = await create('projects', 'project', { name: 'service', domain_id: 'default' });
  const user = await create('users', 'user', { name: 'glance', domain_id: 'default', password: glancePassword });
  // Before 2023.2 Keystone's bootstrap makes no role of services.
  if ((await find('roles', 'service')) === undefined) await create('roles', 'role', { name: 'service' });
  for (const role of ['admin', 'service'])
    await call('PUT', `/projects/${project}/users/${user}/roles/${await idOf('roles', role)}`);
  // Glance reads limits with a token of system scope.
  const reader = await idOf('roles', 'reader');
  await call('PUT', `/system/users/${user}/roles/${reader}`);

  const service = await create('services', 'service', { type: 'image', name: 'glance' });
  const endpoint = (visibility: string) =>
    create('endpoints', 'endpoint', { service_id: service, region_id: region, interface: visibility, url: imageUrl });
  const imageEndpointId = await endpoint('public');
  await endpoint('internal');
  await endpoint('admin');
  await call('POST', '/registered_limits', {
    registered_limits: Object.entries(defaultLimits).map(([name, value]) => ({
      service_id: service,
      region_id: region,
      resource_name: name,
      default_limit: value,
    })),
  });
  return {
    imageServiceId: service,
    imageEndpointId,
    adminProjectId: await idOf('projects', 'admin'),
    memberRoleId: await idOf('roles', 'member'),
    readerRoleId: reader,
  };
}
