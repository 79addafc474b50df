/**
 * The how-to for other tools: its block for Terraform, with OpenTofu and the real provider, against the real Glance and a Nova in memory.
 *
 * Invariant: the data source follows a roll, and the server of the page stays as it is.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { raw } from '../env/images.ts';
import type { ImageRecord, Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { readPage } from './pages.ts';
import { startTofu, type Tofu } from './tofu.ts';

const inPage = readPage('docs/how-to/publish.md').blocks.filter(({ heading }) => heading === 'With Terraform');
const [block = ''] = inPage.map(({ text }) => text);
/** The Nova in memory has no network. */
const withoutNetwork = block.replace('  flavor_name', '  network_mode = "none"\n  flavor_name');
const output = 'output "image" {\n  value = data.openstack_images_image_v2.ubuntu.id\n}\n';

describe('the how-to for a data source of Terraform', () => {
  let stack: Stack;
  let project: Project;
  let tofu: Tofu;

  const create = (fields: Record<string, unknown>) =>
    project.createImage({ name: 'ubuntu-24.04', visibility: 'private', ...fields }, raw(4096));
  const patch = async (id: string, changes: Record<string, unknown>) => {
    const operations = Object.entries(changes).map(([field, value]) => ({ op: 'replace', path: `/${field}`, value }));
    (await project.image('PATCH', `/v2/images/${id}`, operations)).ok();
  };
  const shown = async () => (await tofu.succeed('terraform output -raw image')).trim();
  const apply = () => tofu.succeed('terraform apply -no-color -auto-approve');

  before(async () => {
    stack = await connectStack();
    project = await stack.openstack.createProject();
    tofu = await startTofu(stack.openstack.authUrl, project);
  });
  after(async () => {
    await tofu?.[Symbol.asyncDispose]();
    await stack?.stop();
  });

  test('the data source finds the image by name, follows a roll, and leaves the server as it is', async () => {
    assert.equal(inPage.length, 1);
    const first: ImageRecord = await create({});
    tofu.configure(withoutNetwork, output);
    await apply();
    assert.equal(await shown(), first.id);
    assert.deepEqual(tofu.writes, ['POST /v2.1/servers']);

    // As the operator does it: the image before loses its name and is hidden, and then the next one gets the name.
    const next = await create({ name: 'ubuntu-24.04 (pending)', os_hidden: true });
    await patch(next.id, { os_hidden: false });
    await patch(first.id, { name: 'ubuntu-24.04 (2026-01-01)', os_hidden: true });
    const { code, output: between } = await tofu.plan();
    assert.equal(code, 1, between);
    assert.match(between, /query returned no results/);

    await patch(next.id, { name: 'ubuntu-24.04' });
    await apply();
    assert.equal(await shown(), next.id);
    assert.deepEqual(tofu.writes, ['POST /v2.1/servers']);
  });

  test('without ignore_changes, the next image would rebuild the server', async () => {
    tofu.configure(withoutNetwork.replace(/ {2}lifecycle \{[^}]*\}\n/, ''), output);
    const { code, output: planned } = await tofu.plan();
    assert.equal(code, 2, planned);
    assert.match(planned, /openstack_compute_instance_v2\.server (?:must be replaced|will be updated in-place)/);
  });
});
