import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { cases, leaseCases } from './kubernetes-fault-cases.ts';
import { FaultScene } from './kubernetes-faults.ts';

for (const [election, chosen] of [
  ['without an election', cases],
  ['with an election', leaseCases],
] as const) {
  describe(`after every API server fault ${election}, the declared state is reached and nothing is written twice`, () => {
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

    test('after all faults, Glance is as declared and nothing is left to write', () => scene.assertEnd());
  });
}
