import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { cases } from './kubernetes-fault-cases.ts';
import { FaultScene } from './kubernetes-faults.ts';

describe('whatever befalls the talk with the API server, the end is what was declared and nothing is written twice', () => {
  let stack: Stack;
  let scene: FaultScene;
  before(async () => {
    stack = await connectStack();
    scene = await FaultScene.create(stack, cases);
  });
  after(async () => {
    await scene?.[Symbol.asyncDispose]();
    await stack.stop();
  });

  for (const [at, { phase, name }] of cases.entries()) {
    test(`${phase}: ${name}`, async (context) => {
      context.diagnostic(`settled after ${(await scene.play(at)).toFixed(1)} s`);
    });
  }

  test('and in the end, Glance is equal to what is declared, and nothing is left to write', () => scene.assertEnd());
});
