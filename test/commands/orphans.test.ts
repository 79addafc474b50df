/** Which images are orphans. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isConfirmed, isNamed } from '../../src/commands/orphans.ts';
import { createRecentImages } from '../../src/image/access/recent.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { createVirtualClock } from '../clock.ts';
import { imageOf, projectID, resourceOf } from '../image/resource.ts';
import { stubGlance } from '../image/stub-glance.ts';
import { surroundings } from './surroundings.ts';

const id = '0a000000-0000-4000-8000-00000000000f';
const image = imageOf({ id, properties: { [clusterProperty]: 'c', [ownerProperty]: 'team/gone/uid' } });
const bare = resourceOf();
const recent = createRecentImages(createVirtualClock());

test('an image that the spec of a resource names is no orphan, also before the operator has seen the resource', () => {
  assert.equal(isNamed(image, [bare], 'c'), false);
  for (const [field, spec] of Object.entries({
    import: { ...bare.spec, import: { id } },
    'import in upper case': { ...bare.spec, import: { id: id.toUpperCase() } },
    kernel: { ...bare.spec, image: { ...bare.spec.image, properties: { kernel_id: id, large: 2n ** 60n } } },
  }))
    assert.equal(isNamed(image, [bare, { ...bare, spec }], 'c'), true, field);
});

test('the question whether to delete shows the images itself where the list goes to a file or a pipe', async () => {
  const cloud = { images: stubGlance([]).images, servers: async () => 'noCompute' as const, recent, projectID };
  const asked = async (isTTY: boolean, typed: string | undefined) => {
    const around = surroundings({ isTTY });
    const questions: string[] = [];
    const readLine = async (question: string) => {
      questions.push(question);
      return typed;
    };
    return { isYes: await isConfirmed([{ image, cloud }], { ...around, readLine }), question: questions.join() };
  };
  const onTerminal = await asked(true, 'yes');
  assert.deepEqual(onTerminal, { isYes: true, question: 'Delete 1 image, 1Ki? Only "yes" deletes: ' });
  const toFile = await asked(false, ' yes ');
  assert.equal(toFile.isYes, true);
  assert.match(toFile.question, new RegExp(`^IMAGE .*\n${id} [\\s\\S]*\nDelete 1 image, 1Ki\\? Only "yes" deletes: $`));
  for (const typed of ['y', '', 'YES', 'no']) assert.equal((await asked(false, typed)).isYes, false, typed);
  await assert.rejects(asked(false, undefined), /--delete needs a confirmation: run it on a terminal, or add --yes/);
});
