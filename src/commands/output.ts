/**
 * What commands print: tables and text for people, JSON and YAML for programs.
 *
 * Invariants: colours go to a terminal only, and nowhere if NO_COLOR is set; no text of a server or a file is printed with
 * control characters, in no form of the output.
 */
import { styleText } from 'node:util';
import { z } from 'zod';
import { escapedText, printable, printableLines } from '../lib/text.ts';
import type { Surroundings } from './command.ts';
import type { Settings } from './config.ts';
import { manifestText } from './manifest-text.ts';

export const outputSettings = {
  output: {
    schema: z.enum(['table', 'json', 'yaml']).default('table'),
    value: 'table|json|yaml',
    short: 'o',
    help: 'Form of the output: text for people, or JSON or YAML for programs. Default: table.',
  },
} as const satisfies Settings;

export type Output = 'table' | 'json' | 'yaml';
export type Style = 'green' | 'red' | 'yellow' | 'cyan' | 'bold' | 'dim';
export type Paint = (style: Style, text: string) => string;

function hasColours({ out, env }: Pick<Surroundings, 'out' | 'env'>): boolean {
  return out.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

export function painter(surroundings: Pick<Surroundings, 'out' | 'env'>): Paint {
  const isColoured = hasColours(surroundings);
  return (style, text) => (isColoured ? styleText(style, text, { validateStream: false }) : text);
}

/** `text` makes the form for people. */
export function print(
  output: Output,
  data: unknown,
  text: () => string,
  { out, env }: Pick<Surroundings, 'out' | 'env'>,
): void {
  switch (output) {
    case 'table':
      out.write(withoutControls(text(), hasColours({ out, env })));
      return;
    case 'json':
      out.write(`${escapedText(JSON.stringify(data, null, 2), 'json')}\n`);
      return;
    case 'yaml':
      out.write(manifestText(data));
  }
}

/** Columns as wide as their widest cell. Cells may have colours. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell))).join('   ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences that colours are made of.
const colours = /\u001b\[[0-9;]*m/g;

/** Colours apart, if the text has some of its own. */
function withoutControls(text: string, isColoured: boolean): string {
  if (!isColoured) return printableLines(text);
  const seams = [...text.matchAll(colours), undefined];
  let at = 0;
  return seams
    .map((seam) => {
      const plain = printableLines(text.slice(at, seam?.index));
      at = seam === undefined ? text.length : seam.index + seam[0].length;
      return `${plain}${seam?.[0] ?? ''}`;
    })
    .join('');
}

function widthOf(text: string): number {
  return [...text.replace(colours, '')].length;
}

const longestValue = 4096;

/** Of a server or a file, on one line. */
export function shown(text: string): string {
  return printable(text, longestValue);
}
