import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { cases, leaseCases } from './kubernetes-fault-cases.ts';
import { FaultScene } from './kubernetes-faults.ts';

/** The short form: one fault for each of the states of a watcher, each kind of write, and each turn of an election. `npm run campaign` takes every one. */
const chosen = [
  'a streaming list: a reset after 1 line',
  'a later page of a list: 410 at once',
  'a watch: 410 after 1 line',
  'writing the finalizer: the response is lost',
  'writing the status: 429 with Retry-After',
  'renewing the Lease: the response is lost',
  'taking the Lease: 403 for a long time',
];
const short = [...cases, ...leaseCases].filter(({ phase, name }) => chosen.includes(`${phase}: ${name}`));

describe('after every API server fault, the declared state is reached and nothing is written twice', () => {
  let stack: Stack;
  let scene: FaultScene;
  before(async () => {
    stack = await connectStack();
    scene = await FaultScene.create(stack, short, true);
  });
  after(async () => {
    await scene?.[Symbol.asyncDispose]();
    await stack.stop();
  });

  for (const [at, { phase, name }] of short.entries()) {
    test(`${phase}: ${name}`, async (context) => {
      context.diagnostic(`settled after ${(await scene.play(at)).toFixed(1)} s`);
    });
  }

  test('after all faults, Glance is as declared and nothing is left to write', () => scene.assertEnd());
});
