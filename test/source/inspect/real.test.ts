import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connectStack, type Stack } from '../../env/stack.ts';
import { catalogue } from './catalogue.ts';
import { compareAll, pairsOf } from './upload.ts';

let stack: Stack;

before(async () => {
  stack = await connectStack();
});
after(() => stack.stop());

/** One of each kind, and what one would not expect of Glance. The campaign takes them all. */
const chosen = [
  'qcow2: version 3',
  'qcow2: a backing file',
  'qcow2: another format inside its header',
  'vmdk: streamOptimized with a footer',
  'vmdk: a flat extent',
  'vmdk: a mere descriptor that is not ASCII',
  'vhd: resized',
  'vhd: fixed',
  'vhdx: metadata at 3 MiB',
  'vdi: dynamic',
  'iso: ISO 9660',
  'iso: hybrid',
  'luks: version 2',
  'qed: QED',
  'gpt: GPT',
  'gpt: a wrong boot flag',
  'raw: a FAT file system',
];

test('a real Glance accepts and rejects images as the inspection does', async () => {
  const entries = catalogue.filter(({ label, name }) => chosen.includes(`${label}: ${name}`));
  assert.equal(entries.length, chosen.length);
  await compareAll(await stack.openstack.createProject('inspect'), entries.flatMap(pairsOf));
});
