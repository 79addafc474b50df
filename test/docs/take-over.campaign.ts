/**
 * The how-to for taking an image over from Terraform, with OpenTofu and the real provider: its blocks of HCL and its commands, against the
 * real Glance and a Nova in memory.
 *
 * Invariant: no server is changed, and the image stays.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json, text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { ask } from '../env/http.ts';
import { raw } from '../env/images.ts';
import { folders } from '../env/parts.mjs';
import type { ImageRecord, Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { readPage } from './pages.ts';

const idInPage = '6b1fd7a2-27a5-590a-a79f-a615feb2aec1';
const { blocks } = readPage('docs/how-to/take-over.md');
const ofTerraform = blocks.filter(({ heading }) => heading === 'Terraform and OpenTofu');
const [byID = '', forgotten = ''] = ofTerraform.filter(({ language }) => language === 'hcl').map(({ text }) => text);
const [stateRm = '', ...more] = ofTerraform.filter(({ language }) => language === 'sh').map(({ text }) => text.trim());

const creation = z.object({ server: z.object({ name: z.string(), imageRef: z.string(), flavorRef: z.string() }) });

const tokenSchema = z.looseObject({ token: z.looseObject({ catalog: z.array(z.unknown()) }) });

/**
 * As much of Nova as the provider asks for one server, in the catalog of Keystone, which it stands in front of. It counts the requests
 * that change a server.
 */
async function startNova(authUrl: string): Promise<{ server: Server; url: string; writes: string[] }> {
  const id = 'c7d4b6f0-0000-4000-8000-000000000001';
  const flavor = { id: '1', name: 'small', vcpus: 1, ram: 512, disk: 1, links: [] };
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

describe('the how-to for taking over an image of Terraform', () => {
  const directory = mkdtempSync(join(tmpdir(), 'tofu-'));
  const state = join(directory, 'terraform.tfstate');
  let stack: Stack;
  let project: Project;
  let nova: Awaited<ReturnType<typeof startNova>>;
  let image: ImageRecord;

  /** Runs a command with OpenTofu under the name of Terraform. */
  function run(command: string): Promise<{ code: number; output: string }> {
    const env = {
      PATH: `${join(directory, '.tools')}:${process.env['PATH']}`,
      HOME: directory,
      TF_CLI_CONFIG_FILE: join(directory, '.tofurc'),
      OS_CLIENT_CONFIG_FILE: join(directory, 'clouds.yaml'),
      NO_COLOR: '1',
    };
    return new Promise((resolve) => {
      execFile('sh', ['-c', command], { cwd: directory, env }, (error, stdout, stderr) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1,
          output: stdout + stderr,
        }),
      );
    });
  }
  async function succeed(command: string): Promise<string> {
    const { code, output } = await run(command);
    assert.equal(code, 0, output);
    return output;
  }
  /** 0: there is nothing to do. 2: there is. */
  const plan = () => run('terraform plan -no-color -detailed-exitcode');

  const web = (imageID: string) => `name = "web"\n  flavor_id = "1"\n  network_mode = "none"\n  image_id = ${imageID}`;
  const configure = (...texts: readonly string[]) =>
    writeFileSync(join(directory, 'main.tf'), [settings, ...texts].join('\n').replaceAll(idInPage, image?.id ?? ''));
  const settings = `
terraform {
  required_providers {
    openstack = { source = "terraform-provider-openstack/openstack" }
  }
}
provider "openstack" {
  cloud = "demo"
}`;
  const declared = `
resource "openstack_images_image_v2" "golden" {
  name             = "golden"
  local_file_path  = "golden.raw"
  container_format = "bare"
  disk_format      = "raw"
  properties       = { os_distro = "debian" }
}
resource "openstack_compute_instance_v2" "web" {
  ${web('openstack_images_image_v2.golden.id')}
}`;
  /** The block of the page, with the rest of the server in place of its ellipsis. */
  const asInPage = () => {
    assert.ok(byID.includes('  # …\n'), byID);
    return byID.replace('  # …\n', `  ${web('').replace(/\n {2}image_id = $/, '')}\n`);
  };

  before(async () => {
    stack = await connectStack();
    project = await stack.openstack.createProject();
    nova = await startNova(stack.openstack.authUrl);
    mkdirSync(join(directory, '.tools'));
    symlinkSync(join(folders.tofu, 'tofu'), join(directory, '.tools', 'terraform'));
    writeFileSync(join(directory, 'clouds.yaml'), await project.cloudsYaml({ authUrl: nova.url }));
    writeFileSync(join(directory, 'golden.raw'), raw(4096));
    const overrides = `"terraform-provider-openstack/openstack" = "${folders.tofu}"`;
    writeFileSync(
      join(directory, '.tofurc'),
      `provider_installation {\n  dev_overrides {\n    ${overrides}\n  }\n  direct {}\n}\n`,
    );
    configure(declared);
    await succeed('terraform apply -no-color -auto-approve');
    image = (await project.listImages()).find(({ name }) => name === 'golden') ?? assert.fail('no image');
    copyFileSync(state, `${state}.before`);
  });
  after(async () => {
    nova?.server.close();
    await stack?.stop();
    rmSync(directory, { recursive: true });
  });

  async function assertUntouched(): Promise<void> {
    assert.deepEqual(await project.getImage(image.id), image);
    assert.deepEqual(nova.writes, ['POST /v2.1/servers']);
  }

  test('the page has one command, and two blocks of HCL', () => {
    assert.deepEqual(
      [more, stateRm, ofTerraform.length],
      [[], 'terraform state rm openstack_images_image_v2.golden', 3],
    );
  });

  test('after state rm a plan changes nothing, and neither the server nor the image is touched', async () => {
    configure(asInPage());
    const { output } = await plan();
    assert.match(output, /openstack_images_image_v2\.golden will be destroyed/, 'without it, the image would be lost');
    await succeed(stateRm);
    const { code, output: after } = await plan();
    assert.equal(code, 0, after);
    await assertUntouched();
  });

  test('a removed block has the same effect, and its plan destroys nothing', async () => {
    copyFileSync(`${state}.before`, state);
    configure(asInPage(), forgotten);
    const { output } = await plan();
    assert.match(output, /will be removed from the OpenTofu state but will not be destroyed/);
    assert.doesNotMatch(output, /[1-9]\d* to (?:add|change|destroy)|must be replaced|will be destroyed/);
    await succeed('terraform apply -no-color -auto-approve');
    const { code, output: after } = await plan();
    assert.equal(code, 0, after);
    await assertUntouched();
  });

  test('another image ID would change the server, so the plans before have looked at it', async () => {
    configure(asInPage().replaceAll(idInPage, '00000000-0000-4000-8000-000000000000'));
    const { code, output } = await plan();
    assert.equal(code, 2, output);
    assert.match(output, /openstack_compute_instance_v2\.web (?:must be replaced|will be updated in-place)/);
    await assertUntouched();
  });
});
