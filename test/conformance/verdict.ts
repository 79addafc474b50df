/** Checks a case against its expectation. Invariant: both a new difference and the end of a known one are problems. */
import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type JsonValue } from '../../src/openstack/json.ts';
import type { Case, Pair } from './case.ts';
import { became, differencesOf, type Played } from './difference.ts';

/** What is amiss, a line each. */
export function problemsOf(expected: Case, cinder: Played, ours: Played): string[] {
  const came = cinder.results.map(became);
  const problems = isDeepStrictEqual(came, expected.cinder) ? [] : [`Cinder comes to ${JSON.stringify(came)}`];
  const found = differencesOf(cinder, ours);
  const known = expectedPairs(expected);
  for (const [place, pair] of found) {
    const expectation = known.get(place);
    if (expectation === undefined) problems.push(`a difference without a reason: ${described(place, pair)}`);
    else if (!pair.every((value, side) => matches(value, expectation[side]))) {
      problems.push(`another difference than expected: ${described(place, pair)}`);
    }
  }
  for (const [place, pair] of known) {
    if (!found.has(place)) problems.push(`a difference that has gone: ${described(place, pair)}`);
  }
  return problems;
}

function expectedPairs({ expect }: Case): Map<string, Pair> {
  if (expect === 'same') return new Map();
  return new Map(Object.values(expect).flatMap((pairs) => Object.entries(pairs)));
}

/** An expected object stands for all that have its keys. */
function matches(actual: JsonValue | undefined, expected: JsonValue | undefined): boolean {
  if (isJsonObject(actual) && isJsonObject(expected)) {
    return Object.entries(expected).every(([key, value]) => Object.hasOwn(actual, key) && matches(actual[key], value));
  }
  if (Array.isArray(actual) && Array.isArray(expected)) {
    return actual.length === expected.length && actual.every((value, index) => matches(value, expected[index]));
  }
  return isDeepStrictEqual(actual, expected);
}

function described(place: string, [cinder, ours]: Pair): string {
  return `${place}: Cinder ${JSON.stringify(cinder)}, ours ${JSON.stringify(ours)}`;
}
