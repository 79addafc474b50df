import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { cases, leaseCases } from './kubernetes-fault-cases.ts';
import { FaultScene } from './kubernetes-faults.ts';

for (const [election, chosen] of [
  ['without an election', cases],
  ['with an election', leaseCases],
] as const) {
  describe(`whatever befalls the talk with the API server ${election}, the end is what was declared and nothing is written twice`, () => {
    let stack: Stack;
    let scene: FaultScene;
    before(async () => {
      stack = await connectStack();
      scene = await FaultScene.create(stack, chosen, chosen === leaseCases);
    });
    after(async () => {
      await scene?.[Symbol.asyncDispose]();
      await stack.stop();
    });

    for (const [at, { phase, name }] of chosen.entries()) {
      test(`${phase}: ${name}`, async (context) => {
        context.diagnostic(`settled after ${(await scene.play(at)).toFixed(1)} s`);
      });
    }

    test('and in the end, Glance is equal to what is declared, and nothing is left to write', () => scene.assertEnd());
  });
}
