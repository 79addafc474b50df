/** What becomes of orphans, of their protection, and of a deletion that is stopped or fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Deletion, deleteOrphans } from '../../src/commands/orphan-deletion.ts';
import { Conflict, GlanceUnavailable } from '../../src/glance/errors.ts';
import { createRecentImages } from '../../src/image/access/recent.ts';
import { clusterProperty, ownerProperty } from '../../src/image/model/identity.ts';
import { createVirtualClock } from '../clock.ts';
import { imageOf, projectID } from '../image/resource.ts';
import { type Faults, fail, stubGlance } from '../image/stub-glance.ts';
import { surroundings } from './surroundings.ts';

const [first, second] = ['0a000000-0000-4000-8000-00000000000a', '0b000000-0000-4000-8000-00000000000b'];
const properties = { [clusterProperty]: 'c', [ownerProperty]: `team/gone/${'0'.repeat(32)}` };
const orphan = (id: string, isProtected = false) => imageOf({ id, protected: isProtected, properties });
const refused = new GlanceUnavailable('Glance responded with 503', { httpStatus: 503 });

async function run(images: ReturnType<typeof orphan>[], faults: Faults = {}, fields: Partial<Deletion> = {}) {
  const clock = createVirtualClock();
  const glance = stubGlance(images, faults);
  const around = surroundings();
  const cloud = {
    images: glance.images,
    servers: async () => 'noCompute' as const,
    recent: createRecentImages(clock),
    projectID,
  };
  const deleted = await deleteOrphans(
    images.map((image) => ({ image, cloud })),
    {
      isNamed: async () => false,
      clusterName: 'c',
      unprotect: false,
      signal: new AbortController().signal,
      clock,
      err: around.err,
      ...fields,
    },
  );
  return { deleted, left: [...glance.held.keys()], err: around.errors(), held: glance.held };
}

test('a protected orphan is deleted only if that is asked for, also where it became protected after the list was shown', async () => {
  const kept = await run([orphan(first, true), orphan(second)]);
  assert.deepEqual([kept.deleted, kept.left, kept.held.get(first)?.protected], [1, [first], true]);
  assert.equal(kept.err, `${first} stays: it is protected now\n`);
  const asked = await run([orphan(first, true)], {}, { unprotect: true });
  assert.deepEqual([asked.deleted, asked.left, asked.err], [1, [], '']);
});

test('an orphan that a resource names meanwhile stays, and so does one whose use or whose names cannot be read', async () => {
  const named = await run([orphan(first)], {}, { isNamed: async () => true });
  assert.deepEqual([named.deleted, named.err], [0, `${first} stays: it is not an orphan any more\n`]);
  const unread = await run([orphan(first)], {}, { isNamed: () => Promise.reject(new Error('no response')) });
  assert.deepEqual([unread.deleted, unread.left, unread.err], [0, [first], `${first} stays: no response\n`]);
});

test('an image in use stays as protected as it was, with the message of Glance', async () => {
  const used = new Conflict('Glance responded with 409: Image is in use', { httpStatus: 409 });
  const { deleted, held, err } = await run([orphan(first, true)], { remove: fail(used) }, { unprotect: true });
  assert.deepEqual([deleted, held.get(first)?.protected], [0, true]);
  assert.match(err, /^\S+ stays: it is in use: .*Image is in use\n$/);
});

test('the first signal lets the deletion of one image end and begins no other, and says what a second one leaves unknown', async () => {
  const stop = new AbortController();
  const stopped: Faults = {
    remove() {
      stop.abort(new Error('stopped by SIGINT'));
      return 'go on';
    },
  };
  const { deleted, left, err } = await run([orphan(first), orphan(second)], stopped, { signal: stop.signal });
  assert.deepEqual([deleted, left], [1, [second]]);
  assert.equal(
    err,
    `${first} is being deleted. The command ends after that. A second signal ends it at once, and then it is not known whether ${first} is deleted.\n`,
  );
});

test('after a deletion without a response, the image is read again, and the outcome is unknown only if that fails too', async () => {
  const seen = await run([orphan(first)], { remove: fail(refused) });
  assert.deepEqual([seen.deleted, seen.left, seen.err], [0, [first], `${first} stays: Glance responded with 503\n`]);
  let reads = 0;
  const gone: Faults = { remove: fail(refused), get: () => (++reads > 1 ? Promise.reject(refused) : 'go on') };
  const unknown = await run([orphan(first)], gone);
  assert.equal(unknown.deleted, 0);
  assert.match(unknown.err, /^It is not known whether \S+ is deleted: Glance responded with 503\n {2}Run the command/);
});

test('an image whose deletion fails after its protection was lifted is protected again, or the message says that it is not', async () => {
  const back = await run([orphan(first, true)], { remove: fail(refused) }, { unprotect: true });
  assert.deepEqual([back.held.get(first)?.protected, back.err], [true, `${first} stays: Glance responded with 503\n`]);
  let patches = 0;
  const bare: Faults = {
    remove: fail(refused),
    patch: () => (++patches > 1 ? Promise.reject(refused) : 'go on'),
  };
  const lifted = await run([orphan(first, true)], bare, { unprotect: true });
  assert.match(lifted.err, /stays: Glance responded with 503\. It is not protected any more\n$/);
});
