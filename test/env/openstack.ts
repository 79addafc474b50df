/** The cloud of a stack as tests use it: its administrator, and projects made for one test each. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { adminPassword, cloudSchema, region } from './bootstrap.ts';
import type { Answer } from './http.ts';
import { type Account, Project, type ProjectUser } from './project.ts';
import { Session } from './session.ts';

export const openstackSchema = z.object({ authUrl: z.string(), imageUrl: z.string(), cloud: cloudSchema });

export interface Openstack {
  /** Keystone with its version: `http://127.0.0.1:N/v3`. */
  readonly authUrl: string;
  /** Glance without a version: `http://127.0.0.1:N`. */
  readonly imageUrl: string;
  readonly region: string;
  readonly admin: { readonly projectId: string; token(): Promise<string> };
  /** A request to Keystone as the administrator: `identity('GET', '/projects')`. */
  identity(method: string, path: string, body?: unknown): Promise<Answer>;
  /** A request to Glance as the administrator, who sees every project: `image('GET', '/v2/images')`. */
  image(method: string, path: string, body?: unknown): Promise<Answer>;
  /** A new project with a member and a reader. */
  createProject(prefix?: string): Promise<Project>;
}

const created = (kind: string) => z.object({ [kind]: z.object({ id: z.string() }) });

export function openstackOf({ authUrl, imageUrl, cloud }: z.infer<typeof openstackSchema>): Openstack {
  const session = new Session({ authUrl, username: 'admin', password: adminPassword, project: { name: 'admin' } });
  // While others create users and roles, Keystone's cache denies even the administrator now and then, for a moment.
  const identity = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    for (let tries = 1; ; tries++) {
      const answer = await session.ask(method, `${authUrl}${path}`, body);
      if (answer.status !== 403 || tries === 5) return answer;
      await sleep(100 * tries);
    }
  };
  const create = async (collection: string, kind: string, value: object): Promise<string> => {
    const id = (await identity('POST', collection, { [kind]: value })).as(created(kind))[kind]?.id;
    if (id === undefined) throw new Error(`Keystone did not say the id of the new ${kind}`);
    return id;
  };
  return {
    authUrl,
    imageUrl,
    region,
    admin: { projectId: cloud.adminProjectId, token: () => session.token() },
    identity,
    image: (method, path, body) => session.image(imageUrl, method, path, body),
    async createProject(prefix = 'project') {
      const name = `${prefix}-${randomBytes(4).toString('hex')}`;
      const id = await create('/projects', 'project', { name, domain_id: 'default' });
      const account = async (role: ProjectUser, roleId: string): Promise<Account> => {
        const user = { name: `${name}-${role}`, password: randomBytes(8).toString('hex') };
        const userId = await create('/users', 'user', { ...user, domain_id: 'default' });
        (await identity('PUT', `/projects/${id}/users/${userId}/roles/${roleId}`)).ok();
        return { ...user, id: userId };
      };
      const [member, reader] = await Promise.all([
        account('member', cloud.memberRoleId),
        account('reader', cloud.readerRoleId),
      ]);
      const context = { authUrl, imageUrl, region, identity, imageServiceId: cloud.imageServiceId };
      return new Project(context, id, name, { member, reader });
    },
  };
}
