/** Which names can be custom properties, compared with the Glance that is installed and tried on the one that runs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { z } from 'zod';
import { InvalidRequest } from '../../src/glance/errors.ts';
import { internalNames, isPatchable, isServerKey, reservedPropertyReason } from '../../src/glance/property-names.ts';
import { connectStack } from '../env/stack.ts';
import { python } from '../env/wsgi.ts';
import { openService, raw } from './kit.ts';

async function runPython(...args: readonly string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(python, args);
  return JSON.parse(stdout);
}

test("every attribute of Glance's internal image object is rejected as a property", async () => {
  const names = z.array(z.string()).parse(await runPython(join(import.meta.dirname, 'image_attributes.py')));
  assert.ok(names.includes('image_id'));
  const refused = (name: string) => reservedPropertyReason(name) !== undefined;
  assert.deepEqual(
    names.filter((name) => !refused(name)),
    [],
  );
  assert.deepEqual(
    internalNames.filter((name) => !names.includes(name)),
    [],
  );
});

test('white space at the ends of a name is what Python strips', async () => {
  const code = 'import json; print(json.dumps([c for c in range(0x10000) if not chr(c).strip()]))';
  const stripped = z.array(z.number()).parse(await runPython('-c', code));
  const ours = Array.from({ length: 0x10000 }, (_, code) => code).filter((code) => {
    const character = String.fromCharCode(code);
    assert.equal(isPatchable(`${character}x`), isPatchable(`x${character}`));
    return !isPatchable(`${character}x`);
  });
  assert.deepEqual(ours, stripped);
});

test('a name of Glance belongs to Glance alone, and names of methods of JavaScript are only data', () => {
  for (const name of ['image_id', 'member', 'extra_properties', '__dict__', '__class__', 'os_glance_x', 'size']) {
    assert.ok(isServerKey(name), name);
    assert.match(reservedPropertyReason(name) ?? '', new RegExp(`^property ${name}: `));
  }
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'image_name', 'Image_id', '__x']) {
    assert.ok(!isServerKey(name), name);
    assert.equal(reservedPropertyReason(name), undefined);
  }
});

test('a property called image_id changes no other image: it is rejected before any change', async (t) => {
  const stack = await connectStack();
  t.after(() => stack.stop());
  const { images, proxy } = await openService(t, stack);
  const first = await images.create({ ...raw, name: 'first', properties: { who: 'first' } });
  const second = await images.create(
    { ...raw, name: 'second', tags: ['t'] },
    { data: Buffer.from('data of the second') },
  );
  const changes = () => proxy.requests.filter(({ method }) => method !== 'GET').length;
  const before = changes();

  for (const name of ['image_id', 'member', 'extra_properties', '__dict__']) {
    const properties = { [name]: second.id };
    const refused = (error: unknown) => error instanceof InvalidRequest && error.message.includes(`property ${name}: `);
    await assert.rejects(images.update(first.id, { name: 'renamed', properties }, { purge: false }), refused);
    await assert.rejects(images.update(first.id, { properties }), refused);
    await assert.rejects(images.create({ ...raw, properties }), refused);
  }
  // Glance strips the white space and would find image_id.
  for (const name of [' image_id', 'image_id\x1c', '\x85image_id']) {
    await assert.rejects(
      images.update(first.id, { properties: { [name]: second.id } }, { purge: false }),
      InvalidRequest,
    );
  }
  assert.equal(changes(), before);
  assert.deepEqual(await images.show(second.id), second);
  assert.deepEqual(await images.show(first.id), first);
});

test('an image that has a property called member, which Glance cannot remove, can be purged of its other properties', async (t) => {
  const stack = await connectStack();
  t.after(() => stack.stop());
  const { images, project } = await openService(t, stack);
  const { id } = await project.createImage({ member: 'x', context: 'y', __doc__: 'z', a: '1' });

  const updated = await images.update(id, { properties: { b: '2' } });
  assert.deepEqual(updated.properties, { member: 'x', context: 'y', __doc__: 'z', b: '2' });
  assert.deepEqual((await images.update(id, updated)).properties, updated.properties);
  await assert.rejects(
    images.update(id, { properties: { ...updated.properties, member: 'new' } }),
    /property member: /,
  );
  await assert.rejects(images.update(id, { properties: { member: null } }), /property member: /);
});
