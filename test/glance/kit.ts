/** An image service of a project of its own, on the real Glance, with a proxy in between that counts and can misbehave. */

import type { TestContext } from 'node:test';
import { parse, stringify } from 'yaml';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type ConnectedImageService, type ConnectOptions, connectImageService } from '../../src/library/connect.ts';
import type { ServiceImage } from '../../src/library/service-image.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { adminPassword } from '../env/bootstrap.ts';
import { glancePassword } from '../env/glance.ts';
import type { CloudsYamlOptions, Project } from '../env/project.ts';
import { type FaultProxy, type ProxiedRequest, startProxy } from '../env/proxy.ts';
import type { Stack } from '../env/stack.ts';
import { eventually } from '../env/wait.ts';

export interface TestService {
  images: ConnectedImageService;
  project: Project;
  proxy: FaultProxy;
  /** The requests to the image service, except those for its schema and its versions. */
  calls(): string[];
}

export interface TestServiceOptions extends Partial<Omit<ConnectOptions, 'cloudsYaml' | 'cloud'>> {
  /** Default: a new one. */
  project?: Project;
  user?: CloudsYamlOptions['user'];
  /** Whether locations are asked for as a service does. */
  asService?: boolean;
  /** Whether it is the administrator of the cloud, in a project of its own. */
  asAdmin?: boolean;
  /** Another Glance than that of the stack. */
  imageUrl?: string;
}

/** The pauses between tries are real; where a test waits for them, one retry is enough. */
export async function openService(
  t: TestContext,
  stack: Stack,
  {
    project: given,
    user = 'member',
    asService = false,
    asAdmin = false,
    imageUrl,
    ...options
  }: TestServiceOptions = {},
): Promise<TestService> {
  const project = given ?? (await stack.openstack.createProject('service'));
  const proxy = await startProxy({ url: imageUrl ?? stack.openstack.imageUrl });
  t.after(() => proxy[Symbol.asyncDispose]());
  const images = connectImageService({
    cloudsYaml: withOthers(stack, await project.cloudsYaml({ user, imageUrl: proxy.url }), proxy.url),
    cloud: asAdmin ? 'admin' : 'demo',
    ...(asService ? { privilegedCloud: 'service' } : {}),
    ...options,
  });
  t.after(() => images.close());
  return {
    images,
    project,
    proxy,
    calls: () => proxy.requests.filter(isAboutImages).map(({ method, path }) => `${method} ${path}`),
  };
}

/** The client below the service, on a proxy of its own. */
export async function openClient(
  t: TestContext,
  stack: Stack,
  { project: given, user = 'member', pageSize = 4 }: Pick<TestServiceOptions, 'project' | 'user' | 'pageSize'> = {},
): Promise<{ client: ImageClient; project: Project; proxy: FaultProxy }> {
  const project = given ?? (await stack.openstack.createProject('client'));
  const proxy = await startProxy({ url: stack.openstack.imageUrl });
  t.after(() => proxy[Symbol.asyncDispose]());
  const cloud = parseCloud({ cloudsYaml: await project.cloudsYaml({ user, imageUrl: proxy.url }) }, 'demo');
  const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
  const session = createSession({ cloud, transport, clock: systemClock, random: Math.random });
  t.after(() => session.close());
  return { client: createImageClient(session, { pageSize }), project, proxy };
}

export function isAboutImages({ path }: ProxiedRequest): boolean {
  return path !== '/v2/schemas/image' && path !== '/versions';
}

/** The same clouds.yaml with an entry for a user that has the role `service`, which is Glance's own, and for the administrator. */
function withOthers(stack: Stack, cloudsYaml: string, imageUrl: string): string {
  const { clouds } = parse(cloudsYaml);
  const entry = (username: string, password: string, project_name: string) => ({
    auth: {
      auth_url: stack.openstack.authUrl,
      username,
      password,
      project_name,
      user_domain_name: 'Default',
      project_domain_name: 'Default',
    },
    image_endpoint_override: imageUrl,
  });
  const others = {
    service: entry('glance', glancePassword, 'service'),
    admin: entry('admin', adminPassword, 'admin'),
  };
  return stringify({ clouds: { ...clouds, ...others } });
}

/** The fields of an image that can hold data. */
export const raw = { name: 'raw', diskFormat: 'raw', containerFormat: 'bare' } as const;

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await collect(body));
}

/** Waits until the image has the expected state; each check is a call. */
export async function until(
  images: ConnectedImageService,
  id: string,
  holds: (image: ServiceImage) => boolean,
): Promise<ServiceImage> {
  let image: ServiceImage | undefined;
  return eventually(
    async () => {
      image = await images.show(id);
      return holds(image) && image;
    },
    () => `the image stays ${JSON.stringify(image)}`,
  );
}
