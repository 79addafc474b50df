/**
 * The how-to for taking an image over from Terraform, with OpenTofu and the real provider: its blocks of HCL and its commands, against the
 * real Glance and a Nova in memory.
 *
 * Invariant: no server is changed, and the image stays.
 */
import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { raw } from '../env/images.ts';
import type { ImageRecord, Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { readPage } from './pages.ts';
import { startTofu, type Tofu } from './tofu.ts';

const idInPage = '6b1fd7a2-27a5-590a-a79f-a615feb2aec1';
const { blocks } = readPage('docs/how-to/take-over.md');
const ofTerraform = blocks.filter(({ heading }) => heading === 'Terraform and OpenTofu');
const [byID = '', forgotten = ''] = ofTerraform.filter(({ language }) => language === 'hcl').map(({ text }) => text);
const [stateRm = '', ...more] = ofTerraform.filter(({ language }) => language === 'sh').map(({ text }) => text.trim());

describe('the how-to for taking over an image of Terraform', () => {
  let stack: Stack;
  let project: Project;
  let tofu: Tofu;
  let image: ImageRecord;
  let state: string;

  const web = (imageID: string) => `name = "web"\n  flavor_id = "1"\n  network_mode = "none"\n  image_id = ${imageID}`;
  const configure = (...blocks: readonly string[]) =>
    tofu.configure(...blocks.map((block) => block.replaceAll(idInPage, image?.id ?? '')));
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
    tofu = await startTofu(stack.openstack.authUrl, project);
    state = join(tofu.directory, 'terraform.tfstate');
    writeFileSync(join(tofu.directory, 'golden.raw'), raw(4096));
    configure(declared);
    await tofu.succeed('terraform apply -no-color -auto-approve');
    image = (await project.listImages()).find(({ name }) => name === 'golden') ?? assert.fail('no image');
    copyFileSync(state, `${state}.before`);
  });
  after(async () => {
    await tofu?.[Symbol.asyncDispose]();
    await stack?.stop();
  });

  async function assertUntouched(): Promise<void> {
    assert.deepEqual(await project.getImage(image.id), image);
    assert.deepEqual(tofu.writes, ['POST /v2.1/servers']);
  }

  test('the page has one command, and two blocks of HCL', () => {
    assert.deepEqual(
      [more, stateRm, ofTerraform.length],
      [[], 'terraform state rm openstack_images_image_v2.golden', 3],
    );
  });

  test('after state rm a plan changes nothing, and neither the server nor the image is touched', async () => {
    configure(asInPage());
    const { output } = await tofu.plan();
    assert.match(output, /openstack_images_image_v2\.golden will be destroyed/, 'without it, the image would be lost');
    await tofu.succeed(stateRm);
    const { code, output: after } = await tofu.plan();
    assert.equal(code, 0, after);
    await assertUntouched();
  });

  test('a removed block has the same effect, and its plan destroys nothing', async () => {
    copyFileSync(`${state}.before`, state);
    configure(asInPage(), forgotten);
    const { output } = await tofu.plan();
    assert.match(output, /will be removed from the OpenTofu state but will not be destroyed/);
    assert.doesNotMatch(output, /[1-9]\d* to (?:add|change|destroy)|must be replaced|will be destroyed/);
    await tofu.succeed('terraform apply -no-color -auto-approve');
    const { code, output: after } = await tofu.plan();
    assert.equal(code, 0, after);
    await assertUntouched();
  });

  test('another image ID would change the server, so the plans before have looked at it', async () => {
    configure(asInPage().replaceAll(idInPage, '00000000-0000-4000-8000-000000000000'));
    const { code, output } = await tofu.plan();
    assert.equal(code, 2, output);
    assert.match(output, /openstack_compute_instance_v2\.web (?:must be replaced|will be updated in-place)/);
    await assertUntouched();
  });
});
