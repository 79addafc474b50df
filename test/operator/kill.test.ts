import { after, before, describe, test } from 'node:test';
import { connectStack, type Stack } from '../env/stack.ts';
import { killAt, randomByte } from './kill.ts';

describe('a process that is killed in the middle of a transfer', () => {
  let stack: Stack;
  before(async () => {
    stack = await connectStack();
  });
  after(() => stack.stop());

  test('a process killed during a transfer leaves no damage', async (context) => {
    const byte = randomByte();
    context.diagnostic(`killed at byte ${byte}`);
    await killAt(stack, byte);
  });
});
