import { after, before, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { createScene, type Scene } from './real.ts';
import { transferWithBreaks } from './resume.ts';

let stack: Stack;
let scene: Scene;
before(async () => {
  stack = await connectStack();
  scene = await createScene(stack);
});
after(async () => {
  await scene[Symbol.asyncDispose]();
  await stack.stop();
});

test('a source of 64 MiB that breaks ten times results in one PUT with every byte', async () => {
  await transferWithBreaks(scene, { size: 64 * 2 ** 20, breaks: 10, seed: 'resume', transferMs: 120_000 });
});
