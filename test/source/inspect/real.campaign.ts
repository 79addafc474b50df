import { after, before, test } from 'node:test';
import { connectStack, type Stack } from '../../env/stack.ts';
import { catalogue } from './catalogue.ts';
import { compareAll, pairsOf } from './upload.ts';

let stack: Stack;

before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

test('a real Glance accepts and rejects every image of the catalogue as the inspection does', async () => {
  await compareAll(await stack.openstack.createProject('inspect'), catalogue.flatMap(pairsOf));
});
