/**
 * What commands print: tables and text for people, JSON and YAML for programs.
 *
 * Invariants: colours go to a terminal only, and nowhere if NO_COLOR is set; no text of a server or a file is printed with
 * control characters, in no form of the output.
 */
import { styleText } from 'node:util';
import * as z from 'zod';
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
      out.write(`${escapedText(jsonText(data), 'json')}\n`);
      return;
    case 'yaml':
      out.write(manifestText(data));
  }
}

/** Columns as wide as their widest cell. Cells may have colours. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  const line = (row: readonly string[]) => row.map((cell, column) => padded(cell, widths[column] ?? 0)).join('   ');
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

/** What takes two columns of a terminal: ideographs, the full width forms, and emoji with what changes their look. */
const wide =
  /\p{Emoji_Modifier_Base}\p{Emoji_Modifier}|\p{Emoji}\uFE0F|\p{RI}\p{RI}|\p{Emoji_Presentation}|[\u1100-\u115F\u2E80-\u303E\u3041-\u4DBF\u4E00-\uA4CF\uA960-\uA97F\uAC00-\uD7A3\uF900-\uFAFF\uFE10-\uFE19\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{16FE0}-\u{18DFF}\u{1AFF0}-\u{1B2FF}\u{20000}-\u{3FFFD}]/gu;

/** Columns of a terminal. Colours take none. */
export function widthOf(text: string): number {
  const plain = printableLines(text.replace(colours, '')).replace(wide, '--');
  return [...plain.replace(/[\p{Mn}\p{Me}]/gu, '')].length;
}

/** With blanks after it, up to `width` columns. */
export function padded(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

declare global {
  interface JSON {
    /** Node.js has it, and the types of TypeScript do not. */
    rawJSON(text: string): unknown;
  }
}

function jsonText(data: unknown): string {
  const exact = (_: string, value: unknown) => (typeof value === 'bigint' ? JSON.rawJSON(String(value)) : value);
  return JSON.stringify(data, exact, 2);
}

const longestValue = 4096;

/** Of a server or a file, on one line. */
export function shown(text: string): string {
  return printable(text, longestValue);
}
