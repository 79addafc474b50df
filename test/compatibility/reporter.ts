/** A reporter of Node's test runner: one JSON object a line for each test that passed or failed by itself. */
import type { TestEvent } from 'node:test/reporters';
import { z } from 'zod';

export const outcomeSchema = z.object({ name: z.string(), file: z.string(), error: z.string().optional() });
export type Outcome = z.infer<typeof outcomeSchema>;

/** Node wraps the error of a test in one that says what failed. */
const wrapped = z.looseObject({ failureType: z.string().optional(), cause: z.unknown() });

function outcomeOf(event: TestEvent): Outcome | undefined {
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined;
  const { name, file = '', details, skip, todo } = event.data;
  if (skip !== undefined || todo !== undefined) return undefined;
  if (event.type === 'test:pass') return details.type === 'suite' ? undefined : { name, file };
  const { failureType, cause } = wrapped.parse(event.data.details.error);
  if (failureType === 'subtestsFailed') return undefined;
  const message = cause instanceof Error ? cause.message : String(cause);
  return { name, file, error: message.slice(0, 1_000) };
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const outcome = outcomeOf(event);
    if (outcome !== undefined) yield `${JSON.stringify(outcome)}\n`;
  }
}
