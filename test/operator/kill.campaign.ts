import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { killAt, randomByte } from './kill.ts';

describe('a process that is killed in the middle of a transfer', () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  for (let round = 1; round <= 10; round++) {
    test(`a killed process leaves no damage, round ${round}`, async (context) => {
      const byte = randomByte();
      context.diagnostic(`killed at byte ${byte}`);
      await killAt(stack, byte);
    });
  }
});
