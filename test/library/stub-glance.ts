/** An image service on a stub of Glance that has one image and records every request, for what no real server can be made to do. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { type ConnectedImageService, type ConnectOptions, connectImageService } from '../../src/library/connect.ts';
import type { JsonObject } from '../../src/openstack/json.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { bodyOf, reply, serve } from '../openstack/stub.ts';

/** The data of the image. */
export const stubData = 'bytes';

export interface StubGlance {
  images: ConnectedImageService;
  url: string;
  /** `PATCH /images/<id>`, in order, without the query. */
  requests: string[];
  /** The bodies of the requests, in the same order, as far as they have arrived whole. */
  bodies: string[];
  /** The requests that can change something. */
  writes(): string[];
}

/** Whether it has responded to the request; the usual response follows if not. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface StubGlanceOptions {
  image?: JsonObject;
  answer?: Answer;
  options?: Partial<ConnectOptions>;
}

export async function openStub(
  t: TestContext,
  { image = {}, answer = () => false, options = {} }: StubGlanceOptions = {},
): Promise<StubGlance> {
  const requests: string[] = [];
  const bodies: string[] = [];
  const url = await serve(t, async (request, response) => {
    const path = (request.url ?? '').replace(/^\/v2/, '').replace(/\?.*/, '');
    const at = requests.push(`${request.method} ${path}`) - 1;
    bodies[at] = await bodyOf(request).then(String, () => '(incomplete)');
    if (answer(request, response)) return;
    if (path === `/images/${imageId}/file` && request.method === 'GET') return void response.end(stubData);
    if (path === '/info/stores') return reply(response, 200, { stores: [{ id: 'fast', default: 'true' }] });
    if (path === '/images' && request.method === 'GET') return reply(response, 200, { images: [wireImage(image)] });
    if (path === '/images') return reply(response, 201, wireImage({ ...image, ...JSON.parse(bodies[at] ?? '') }));
    if (path === `/images/${imageId}`) return reply(response, 200, wireImage(image));
    reply(response, 404, { message: 'no such thing' });
  });
  const cloudsYaml = stringify({
    clouds: { demo: { auth_type: 'admin_token', token: 'a-token', image_endpoint_override: url } },
  });
  const images = connectImageService({
    cloudsYaml,
    cloud: 'demo',
    requester: { token: true, projectId: 'p' },
    retries: 0,
    newId: () => imageId,
    ...options,
  });
  t.after(() => images.close());
  return { images, url, requests, bodies, writes: () => requests.filter((request) => !request.startsWith('GET ')) };
}
