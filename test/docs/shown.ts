/**
 * Compares the output in a page with real output.
 *
 * Invariant: everything must match except values that differ each time (ids, times, ages, column widths) and parts that
 * the page omits with `…`.
 */
import assert from 'node:assert/strict';

const varying: readonly (readonly [shown: RegExp, real: string])[] = [
  [/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/, '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'],
  [/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/, '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ'],
  [/^\d\d:\d\d:\d\dZ/, '\\d\\d:\\d\\d:\\d\\dZ'],
  [/^(?:\d+[smhd])+\b/, '(?:\\d+[smhd])+'],
  [/^\s+/, '\\s+'],
  [/^…/, '[\\s\\S]*?'],
];

/** The pattern of all outputs that this one stands for. */
export function patternOf(shown: string): RegExp {
  let pattern = '';
  for (let rest = shown.trim(); rest !== ''; ) {
    const known = varying.find(([start]) => start.test(rest));
    const [text] = known?.[0].exec(rest) ?? [/^(?:\d+|\w|.)/s.exec(rest)?.[0] ?? ''];
    pattern += known === undefined ? text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&') : known[1];
    rest = rest.slice(text.length);
  }
  return new RegExp(`^\\s*${pattern}\\s*$`);
}

export function assertShown(real: string, shown: string, at: string): void {
  assert.match(real, patternOf(shown), `${at}: the page shows\n${shown}\nand there is\n${real}`);
}
