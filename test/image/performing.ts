/** Steps that are performed alone, against a Glance in memory, as tables have them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Image } from '../../src/glance/image.ts';
import type { PlanStep, State } from '../../src/image/model/step.ts';
import { type PerformContext, type Performed, perform } from '../../src/image/perform/perform.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { imageOf } from './resource.ts';
import { stateOf } from './states.ts';
import { type Faults, performOn, stubGlance } from './stub-glance.ts';

const image = imageOf();

export function codeOf(performed: Performed): unknown {
  const error = performed.kind === 'failed' ? performed.error : undefined;
  return error instanceof OperatorError ? error.code : error;
}

export interface Row {
  what: string;
  /** What Glance holds. */
  held?: readonly Image[];
  /** What is known before; the image of number 0 unless it says otherwise. */
  state?: State;
  faults?: Faults;
  context?: Partial<PerformContext>;
  kind: 'done' | 'changed' | 'failed' | 'gone' | 'outdated';
  code?: string;
  calls: readonly string[];
  /** Of the state afterwards. */
  memory?: object;
  revisions?: readonly object[];
  changes?: readonly object[];
}

export function table(step: PlanStep, rows: readonly Row[]): void {
  for (const row of rows) {
    test(`${step.kind}: ${row.what}`, async () => {
      const { held = [image], state = stateOf([image]), faults, context, kind, calls, memory, revisions } = row;
      const glance = stubGlance(held, faults);
      const performed = await perform(step, state, performOn(glance, context));
      assert.equal(performed.kind, kind);
      assert.deepEqual(glance.calls, calls);
      if (performed.kind === 'gone' || performed.kind === 'outdated') return;
      if (memory !== undefined) assert.partialDeepStrictEqual(performed.state.memory, memory);
      if (revisions !== undefined) {
        assert.partialDeepStrictEqual(performed.state.observed.revisions, revisions);
        assert.equal(performed.state.observed.revisions.length, revisions.length);
      }
      assert.deepEqual(performed.changes, row.changes ?? []);
      assert.equal(codeOf(performed), row.code);
    });
  }
}
