/** Publishers for reconciles of resources that follow none. */
import assert from 'node:assert/strict';
import type { Following } from '../../src/image/publishers/resolution.ts';

export const followsNothing: Following = {
  publishers: {
    read: () => assert.fail('a publisher was read'),
    forget: () => {},
    close: async () => {},
  },
  candidates: { current: () => undefined, make: () => {}, get: () => undefined, reject: () => {}, forget: () => {} },
};
