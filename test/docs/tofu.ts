/**
 * OpenTofu under the name of Terraform, with the real provider, the real Keystone and Glance, and a Nova in memory.
 *
 * Invariant: it has a directory of its own, and reaches loopback only.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { z } from 'zod';
import { ask } from '../env/http.ts';
import { folders } from '../env/parts.mjs';
import type { Project } from '../env/project.ts';

const creation = z.object({ server: z.object({ name: z.string(), imageRef: z.string(), flavorRef: z.string() }) });

const tokenSchema = z.looseObject({ token: z.looseObject({ catalog: z.array(z.unknown()) }) });

/**
 * As much of Nova as the provider asks for one server, in the catalog of Keystone, which it stands in front of. It counts the requests
 * that change a server.
 */
async function startNova(authUrl: string): Promise<{ server: Server; url: string; writes: string[] }> {
  const id = 'c7d4b6f0-0000-4000-8000-000000000001';
  const flavor = { id: '1', name: 'm1.small', vcpus: 1, ram: 512, disk: 1, links: [] };
  let instance: object | undefined;
  const writes: string[] = [];

  async function compute(request: IncomingMessage): Promise<[number, unknown]> {
    const { method = '', url = '' } = request;
    if (method !== 'GET') writes.push(`${method} ${url}`);
    if (method === 'POST' && url === '/v2.1/servers') {
      const { server } = creation.parse(await json(request));
      const at = '2026-01-01T00:00:00Z';
      const { name, imageRef, flavorRef } = server;
      const more = { addresses: {}, metadata: {}, security_groups: [], links: [], created: at, updated: at };
      instance = { id, name, status: 'ACTIVE', image: { id: imageRef }, flavor: { id: flavorRef }, ...more };
      return [202, { server: { id, links: [] } }];
    }
    if (url === `/v2.1/servers/${id}` && instance !== undefined) return [200, { server: instance }];
    if (url === '/v2.1/flavors/1') return [200, { flavor }];
    if (url.startsWith('/v2.1/flavors/detail')) return [200, { flavors: url.includes('marker=') ? [] : [flavor] }];
    return [404, { itemNotFound: { code: 404, message: `${method} ${url} is not here` } }];
  }

  /** The response of Keystone; a token with Nova in its catalog. */
  async function identity(request: IncomingMessage): Promise<[number, unknown, Record<string, string>]> {
    const { method = '', url = '' } = request;
    const headers = {
      'content-type': 'application/json',
      'x-auth-token': String(request.headers['x-auth-token'] ?? ''),
    };
    const body = method === 'GET' ? undefined : await text(request);
    const answer = await ask(method, new URL(url, authUrl).href, { headers, body });
    const subject = { 'x-subject-token': String(answer.headers['x-subject-token'] ?? '') };
    const token = tokenSchema.safeParse(answer.json);
    if (!token.success) return [answer.status, answer.json, subject];
    const region = 'RegionOne';
    const endpoint = { id: 'e', interface: 'public', region, region_id: region, url: `${origin}/v2.1/` };
    const catalog = [...token.data.token.catalog, { id: 's', type: 'compute', name: 'nova', endpoints: [endpoint] }];
    return [answer.status, { token: { ...token.data.token, catalog } }, subject];
  }

  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [status, body, headers = {}] = await (request.url?.startsWith('/v2.1/') ? compute : identity)(request);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }
  const server = createServer((request, response) => {
    respond(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const origin = `http://127.0.0.1:${address.port}`;
  return { server, url: `${origin}/v3`, writes };
}

const settings = `
terraform {
  required_providers {
    openstack = { source = "terraform-provider-openstack/openstack" }
  }
}
provider "openstack" {
  cloud = "demo"
}`;

export interface Tofu extends AsyncDisposable {
  directory: string;
  /** The requests that changed a server. */
  writes: readonly string[];
  /** Replaces the configuration by these blocks. */
  configure: (...blocks: readonly string[]) => void;
  run: (command: string) => Promise<{ code: number; output: string }>;
  /** Fails where the command fails. */
  succeed: (command: string) => Promise<string>;
  /** Code 0: there is nothing to do. 2: there is. */
  plan: () => Promise<{ code: number; output: string }>;
}

export async function startTofu(authUrl: string, project: Project): Promise<Tofu> {
  const directory = mkdtempSync(join(tmpdir(), 'tofu-'));
  const nova = await startNova(authUrl);
  mkdirSync(join(directory, '.tools'));
  symlinkSync(join(folders.tofu, 'tofu'), join(directory, '.tools', 'terraform'));
  writeFileSync(join(directory, 'clouds.yaml'), await project.cloudsYaml({ authUrl: nova.url }));
  const overrides = `"terraform-provider-openstack/openstack" = "${folders.tofu}"`;
  writeFileSync(
    join(directory, '.tofurc'),
    `provider_installation {\n  dev_overrides {\n    ${overrides}\n  }\n  direct {}\n}\n`,
  );
  const env = {
    PATH: `${join(directory, '.tools')}:${process.env['PATH']}`,
    HOME: directory,
    TF_CLI_CONFIG_FILE: join(directory, '.tofurc'),
    OS_CLIENT_CONFIG_FILE: join(directory, 'clouds.yaml'),
    NO_COLOR: '1',
  };
  const run: Tofu['run'] = (command) =>
    new Promise((resolve) => {
      execFile('sh', ['-c', command], { cwd: directory, env }, (error, stdout, stderr) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1,
          output: stdout + stderr,
        }),
      );
    });
  return {
    directory,
    writes: nova.writes,
    configure: (...blocks) => writeFileSync(join(directory, 'main.tf'), [settings, ...blocks].join('\n')),
    run,
    async succeed(command) {
      const { code, output } = await run(command);
      assert.equal(code, 0, output);
      return output;
    },
    plan: () => run('terraform plan -no-color -detailed-exitcode'),
    async [Symbol.asyncDispose]() {
      nova.server.close();
      rmSync(directory, { recursive: true });
    },
  };
}
