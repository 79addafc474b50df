/**
 * What commands print: tables and text for people, JSON and YAML for programs.
 *
 * Invariants: colours go to a terminal only, and nowhere if NO_COLOR is set; no text of a server or a file is printed with control characters.
 */
import { styleText } from 'node:util';
import { stringify } from 'yaml';
import { z } from 'zod';
import { printable } from '../lib/text.ts';
import type { Surroundings } from './command.ts';
import type { Settings } from './config.ts';

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

export function painter({ out, env }: Pick<Surroundings, 'out' | 'env'>): Paint {
  const isColoured = out.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return (style, text) => (isColoured ? styleText(style, text, { validateStream: false }) : text);
}

/** `text` makes the form for people. */
export function print(output: Output, data: unknown, text: () => string, { out }: Pick<Surroundings, 'out'>): void {
  switch (output) {
    case 'table':
      out.write(text());
      return;
    case 'json':
      out.write(`${JSON.stringify(data, null, 2)}\n`);
      return;
    case 'yaml':
      out.write(stringify(data, { lineWidth: 0 }));
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

function widthOf(text: string): number {
  return [...text.replace(colours, '')].length;
}

const longestValue = 4096;

/** Of a server or a file, on one line. */
export function shown(text: string): string {
  return printable(text, longestValue);
}
