/** The difference between two texts as a unified diff. Invariant: pure; applied to the first text it gives the second one. */

interface Line {
  sign: ' ' | '-' | '+';
  text: string;
}

/** Lines around a change. */
const context = 3;

/** Empty where the texts are equal. Meant for texts of some hundred lines: time and memory grow with their product. */
export function unifiedDiff(before: string, after: string, names: readonly [before: string, after: string]): string {
  const lines = difference(linesOf(before), linesOf(after));
  const changed = lines.flatMap(({ sign }, index) => (sign === ' ' ? [] : [index]));
  if (changed.length === 0) return '';
  const hunks = hunksOf(changed, lines.length).map(([from, to]) => hunkText(lines, from, to));
  return `--- ${names[0]}\n+++ ${names[1]}\n${hunks.join('')}`;
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

/** By the longest common subsequence. */
function difference(before: readonly string[], after: readonly string[]): Line[] {
  const lengths = before.map(() => new Array<number>(after.length + 1).fill(0));
  lengths.push(new Array<number>(after.length + 1).fill(0));
  const at = (row: number, column: number) => lengths[row]?.[column] ?? 0;
  for (let row = before.length - 1; row >= 0; row--) {
    for (let column = after.length - 1; column >= 0; column--) {
      const isSame = before[row] === after[column];
      const length = isSame ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
      lengths[row]?.splice(column, 1, length);
    }
  }
  const lines: Line[] = [];
  let [row, column] = [0, 0];
  while (row < before.length || column < after.length) {
    const [old, next] = [before[row], after[column]];
    if (old !== undefined && old === next) {
      lines.push({ sign: ' ', text: old });
      row++;
      column++;
    } else if (old !== undefined && (next === undefined || at(row + 1, column) >= at(row, column + 1))) {
      lines.push({ sign: '-', text: old });
      row++;
    } else {
      lines.push({ sign: '+', text: next ?? '' });
      column++;
    }
  }
  return lines;
}

/** Ranges of lines that are shown; those that touch are one. */
function hunksOf(changed: readonly number[], count: number): [from: number, to: number][] {
  const hunks: [number, number][] = [];
  for (const index of changed) {
    const [from, to] = [Math.max(0, index - context), Math.min(count, index + context + 1)];
    const last = hunks.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = to;
    else hunks.push([from, to]);
  }
  return hunks;
}

function hunkText(lines: readonly Line[], from: number, to: number): string {
  const count = (part: readonly Line[], sign: '-' | '+') =>
    part.filter((one) => one.sign === ' ' || one.sign === sign).length;
  const [before, shown] = [lines.slice(0, from), lines.slice(from, to)];
  const range = (sign: '-' | '+') => {
    const length = count(shown, sign);
    const start = count(before, sign) + (length === 0 ? 0 : 1);
    return `${sign}${start},${length}`;
  };
  return `@@ ${range('-')} ${range('+')} @@\n${shown.map(({ sign, text }) => `${sign}${text}\n`).join('')}`;
}
