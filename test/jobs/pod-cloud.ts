/** What the pod of a transfer reaches, on loopback: Keystone, Glance, a source, and the API server with the ConfigMap of progress. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fingerprintOf } from '../../src/image/model/fingerprint.ts';
import { contentProperty } from '../../src/image/model/identity.ts';
import { runFilesOf } from '../../src/jobs/run-files.ts';
import { TransferPlan as Plan, type TransferPlan } from '../../src/transfer/plan.ts';
import type { Certificates } from '../env/certificates.ts';
import { startStubProxy } from '../http/stub-proxy.ts';
import { bodyOf, reply, serve } from '../openstack/stub.ts';
import { type PlanOptions, planOf } from '../transfer/plans.ts';

export const content = Buffer.alloc(100_000, 'disk');

export interface PodCloudOptions {
  /** Of the API server. */
  certificates: Certificates;
  /** Of the image. Default: it is queued and has the fingerprint of the plan. */
  image?: object;
  plan?: PlanOptions;
  /** In place of Glance's response to the data. */
  onUpload?: (response: ServerResponse) => void;
  /** Sources and clouds have a proxy each, with credentials, in the place of the direct way. */
  isProxied?: true;
  /** In place of the file. */
  onDownload?: (response: ServerResponse) => void;
  /** In place of the API server's response to progress. */
  onProgress?: (response: ServerResponse) => void;
}

export async function podCloud(t: TestContext, options: PodCloudOptions) {
  const requests: string[] = [];
  const progress: unknown[] = [];
  let stored: Buffer | undefined;
  const image = () => ({
    id: plan.imageID,
    name: 'a',
    status: stored === undefined ? 'queued' : 'active',
    visibility: 'private',
    tags: [],
    size: stored?.length ?? null,
    os_hash_algo: stored === undefined ? null : 'sha512',
    os_hash_value: stored === undefined ? null : createHash('sha512').update(stored).digest('hex'),
    disk_format: plan.diskFormat,
    container_format: 'bare',
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    [contentProperty]: fingerprintOf(plan),
    ...options.image,
  });
  const handle: RequestListener = async (request, response) => {
    const path = new URL(request.url ?? '', 'http://any').pathname;
    requests.push(`${request.method} ${path}`);
    if (path === '/image.raw') {
      if (options.onDownload !== undefined) return options.onDownload(response);
      response.writeHead(200, { 'content-length': content.length });
      return void response.end(content);
    }
    if (path.endsWith('/auth/tokens')) return reply(response, 201, { token: token() }, { 'x-subject-token': 'token' });
    if (path.endsWith('/v3') || path.endsWith('/v3/'))
      return reply(response, 200, { version: { id: 'v3.14', status: 'stable' } });
    if (path.endsWith('/file')) {
      const sent = await bodyOf(request).catch(() => undefined);
      if (sent === undefined) return;
      if (options.onUpload !== undefined) return options.onUpload(response);
      stored = sent;
      return void response.writeHead(204).end();
    }
    if (path.endsWith(`/images/${plan.imageID}`)) return reply(response, 200, image());
    reply(response, 404, {});
  };
  const origin = await serve(t, handle);
  const { good, ca } = options.certificates;
  const apiServer = createServer(good, async (request, response) => {
    progress.push(JSON.parse((await bodyOf(request)).toString()));
    if (options.onProgress === undefined) reply(response, 200, {});
    else options.onProgress(response);
  });
  apiServer.listen(0, '127.0.0.1');
  await once(apiServer, 'listening');
  t.after(() => {
    apiServer.closeAllConnections();
    apiServer.close();
  });
  const address = apiServer.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  const token = () => ({
    issued_at: '2026-01-01T00:00:00Z',
    expires_at: '2030-01-01T00:00:00Z',
    user: { id: 'u', name: 'u' },
    project: { id: 'p', name: 'p' },
    roles: [{ name: 'member' }],
    catalog: [
      {
        type: 'image',
        name: 'glance',
        endpoints: [{ interface: 'public', url: `${origin}/image`, region_id: 'R' }],
      },
    ],
  });
  const plan: TransferPlan = Plan.parse(
    planOf({ address: `${origin}/image`, url: `${origin}/image.raw`, ...options.plan }),
  );
  const cloudsYaml = JSON.stringify({
    clouds: {
      demo: {
        auth: { auth_url: `${origin}/v3`, username: 'u', password: 'p', project_id: 'p', user_domain_name: 'd' },
        image_endpoint_override: `${origin}/image`,
      },
    },
  });
  const rules = { allow: ['127.0.0.0/8'], deny: [] };
  async function proxied() {
    const proxy = await startStubProxy({ port: Number(new URL(origin).port) });
    t.after(() => proxy[Symbol.asyncDispose]());
    // The path is that of the operator; the pod has a file of its own.
    const through = { url: proxy.url, except: [], credentialsFile: '/run/of-the-operator' };
    return { proxy, rules: { ...rules, proxy: through } };
  }
  const proxies = options.isProxied && { sources: await proxied(), clouds: await proxied() };
  const files = runFilesOf({
    plan,
    access: { cloud: { cloudsYaml }, source: {} },
    egress: { sources: proxies?.sources.rules ?? rules, clouds: proxies?.clouds.rules ?? rules },
    certificates: [],
    proxies: proxies === undefined ? { sources: '', clouds: '' } : { sources: 'sources:one', clouds: 'clouds:two' },
    progress: { namespace: 'operator', configMap: 'progress', key: 'transfer-a' },
    api: { server: `https://127.0.0.1:${address.port}`, ca },
  });
  const folder = mkdtempSync(join(tmpdir(), 'glance-image-operator-run-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries({ ...files, token: 'a-token' })) writeFileSync(join(folder, name), text);
  return {
    plan,
    folder,
    message: join(folder, 'message'),
    /** The data that Glance has. */
    stored: () => stored,
    /** `METHOD path`. */
    requests,
    /** What the proxies got. */
    proxied: { sources: proxies?.sources.proxy.requests ?? [], clouds: proxies?.clouds.proxy.requests ?? [] },
    /** Bodies of the patches of the ConfigMap. */
    progress,
  };
}
