/**
 * A project of the cloud with its two users, as a tenant has it.
 *
 * Invariant: a project belongs to one test and affects no other.
 */
import { stringify } from 'yaml';
import { z } from 'zod';
import type { LimitName } from './bootstrap.ts';
import type { Answer } from './http.ts';
import { Session } from './session.ts';

/** `member` may create and change images, `reader` may only look. */
export type ProjectUser = 'member' | 'reader';

export interface CloudsYamlOptions {
  /** The entry's name under `clouds`. Default `demo`. */
  cloudName?: string;
  /** Default `password`. */
  auth?: 'password' | 'applicationCredential';
  /** Default `member`. */
  user?: ProjectUser;
  /** Another Keystone to sign in to, such as a proxy in front of it. */
  authUrl?: string;
  /** Another Glance than the catalog's, such as a proxy in front of it; it becomes `image_endpoint_override`. */
  imageUrl?: string;
  /** Default `RegionOne`; null leaves it out. */
  region?: string | null;
  interface?: 'public' | 'internal' | 'admin';
  /** More keys of the cloud's entry. */
  extra?: Record<string, unknown>;
}

/** An image as Glance lists it; custom properties are at the same level. */
export const imageRecordSchema = z.looseObject({
  id: z.string(),
  name: z.string().nullable(),
  status: z.string(),
  visibility: z.string(),
  protected: z.boolean(),
  os_hidden: z.boolean(),
  owner: z.string().nullable(),
  disk_format: z.string().nullable(),
  container_format: z.string().nullable(),
  size: z.number().nullable(),
  virtual_size: z.number().nullable(),
  min_disk: z.number(),
  min_ram: z.number(),
  checksum: z.string().nullable(),
  os_hash_algo: z.string().nullable(),
  os_hash_value: z.string().nullable(),
  tags: z.array(z.string()),
  created_at: z.string(),
  updated_at: z.string(),
});
export type ImageRecord = z.infer<typeof imageRecordSchema>;
const pageSchema = z.object({ images: z.array(imageRecordSchema), next: z.string().optional() });

export interface Account {
  id: string;
  name: string;
  password: string;
}

/** The cloud's functions that a project needs. */
export interface ProjectContext {
  authUrl: string;
  imageUrl: string;
  region: string;
  /** A request to Keystone as the cloud's administrator. */
  identity: (method: string, path: string, body?: unknown) => Promise<Answer>;
  imageServiceId: string;
}

export class Project {
  readonly id: string;
  readonly name: string;
  readonly domain = 'Default';
  readonly accounts: Readonly<Record<ProjectUser, Account>>;
  readonly #cloud: ProjectContext;
  readonly #sessions: Readonly<Record<ProjectUser, Session>>;

  constructor(cloud: ProjectContext, id: string, name: string, accounts: Record<ProjectUser, Account>) {
    this.id = id;
    this.name = name;
    this.accounts = accounts;
    this.#cloud = cloud;
    const session = ({ name, password }: Account) =>
      new Session({ authUrl: cloud.authUrl, username: name, password, project: { id } });
    this.#sessions = { member: session(accounts.member), reader: session(accounts.reader) };
  }

  /** A clouds.yaml with one entry for this project. */
  async cloudsYaml(options: CloudsYamlOptions = {}): Promise<string> {
    const { cloudName = 'demo', auth = 'password', user = 'member', region = this.#cloud.region, extra = {} } = options;
    const authUrl = options.authUrl ?? this.#cloud.authUrl;
    const entry = {
      auth: {
        auth_url: authUrl,
        ...(auth === 'password' ? this.#passwordAuth(user) : await this.#newCredential(user)),
      },
      ...(auth === 'password' ? {} : { auth_type: 'v3applicationcredential' }),
      ...(region === null ? {} : { region_name: region }),
      ...(options.interface === undefined ? {} : { interface: options.interface }),
      ...(options.imageUrl === undefined ? {} : { image_endpoint_override: options.imageUrl }),
      ...extra,
    };
    return stringify({ clouds: { [cloudName]: entry } });
  }

  #passwordAuth(user: ProjectUser): Record<string, string> {
    const { name, password } = this.accounts[user];
    return {
      username: name,
      password,
      project_name: this.name,
      user_domain_name: this.domain,
      project_domain_name: this.domain,
    };
  }

  async #newCredential(user: ProjectUser): Promise<Record<string, string>> {
    const path = `/users/${this.accounts[user].id}/application_credentials`;
    const name = `test-${crypto.randomUUID()}`;
    const body = { application_credential: { name } };
    const create = () => this.#sessions[user].ask('POST', `${this.#cloud.authUrl}${path}`, body);
    let answer = await create();
    // Keystone caches role assignments: a concurrent request can restore the entry that a new assignment has just removed.
    for (let retries = 0; answer.status === 400 && retries < 5; retries++) answer = await create();
    const { application_credential: credential } = answer.as(
      z.object({ application_credential: z.object({ id: z.string(), secret: z.string() }) }),
    );
    return { application_credential_id: credential.id, application_credential_secret: credential.secret };
  }

  token(user: ProjectUser = 'member'): Promise<string> {
    return this.#sessions[user].token();
  }

  /** A request to Glance as this project's member: `image('PUT', '/v2/images/<id>/file', bytes)`. */
  image(method: string, path: string, body?: unknown, user: ProjectUser = 'member'): Promise<Answer> {
    return this.#sessions[user].image(this.#cloud.imageUrl, method, path, body);
  }

  async getImage(id: string): Promise<ImageRecord> {
    return (await this.image('GET', `/v2/images/${id}`)).as(imageRecordSchema);
  }

  /** A new image's record; give `data` to fill it too. */
  async createImage(fields: Record<string, unknown> = {}, data?: Buffer): Promise<ImageRecord> {
    const defaults = { name: 'test', disk_format: 'raw', container_format: 'bare' };
    const created = (await this.image('POST', '/v2/images', { ...defaults, ...fields })).as(imageRecordSchema);
    if (data === undefined) return created;
    (await this.image('PUT', `/v2/images/${created.id}/file`, data)).ok();
    return this.getImage(created.id);
  }

  /** All images that this project owns, hidden ones too. */
  async listImages(): Promise<ImageRecord[]> {
    const found: ImageRecord[] = [];
    for (const hidden of [false, true]) {
      let path: string | undefined = `/v2/images?owner=${this.id}&os_hidden=${hidden}&limit=500`;
      while (path !== undefined) {
        const page: z.infer<typeof pageSchema> = (await this.image('GET', path)).as(pageSchema);
        found.push(...page.images);
        path = page.next;
      }
    }
    return found;
  }

  /** This project's own quota: MiB for the totals of size, a number for the counts. It counts from the next request on. */
  async setLimit(name: LimitName, value: number): Promise<void> {
    const { identity, imageServiceId, region } = this.#cloud;
    const query = `service_id=${imageServiceId}&region_id=${region}&resource_name=${name}&project_id=${this.id}`;
    const found = (await identity('GET', `/limits?${query}`)).as(
      z.object({
        limits: z.array(z.object({ id: z.string(), resource_name: z.string(), project_id: z.string().nullable() })),
      }),
    );
    const mine = found.limits.find((limit) => limit.resource_name === name && limit.project_id === this.id);
    if (mine !== undefined) {
      (await identity('PATCH', `/limits/${mine.id}`, { limit: { resource_limit: value } })).ok();
      return;
    }
    const limit = {
      service_id: imageServiceId,
      region_id: region,
      resource_name: name,
      project_id: this.id,
      resource_limit: value,
    };
    (await identity('POST', '/limits', { limits: [limit] })).ok();
  }

  /** Changes a user's password, as when a Secret has become stale. */
  async setPassword(user: ProjectUser, password: string): Promise<void> {
    const body = { user: { password } };
    (await this.#cloud.identity('PATCH', `/users/${this.accounts[user].id}`, body)).ok();
  }
}
