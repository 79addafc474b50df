/** Prints the demo on the terminal. Invariant: every line is output of a server or tool, none is made up. */
import { styleText } from 'node:util';
import { baseKeys } from '../../src/glance/property-names.ts';
import { markProperties } from '../../src/image/model/identity.ts';
import type { ImageRecord } from '../env/project.ts';

export function title(text: string): void {
  process.stdout.write(`\n${styleText(['bold', 'cyan'], `── ${text}`)}\n`);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function command(text: string): void {
  process.stdout.write(`${styleText('dim', `$ ${text}`)}\n`);
}

export function indent(text: string): void {
  process.stdout.write(`${text.trimEnd().replace(/^/gm, '  ')}\n`);
}

/** Marks of the operator, and what Glance defines itself. */
const notShown = new Set([...markProperties, ...baseKeys]);

/** The images as Glance itself lists them. */
export function showImages(images: readonly ImageRecord[]): void {
  if (images.length === 0) {
    say('  (Glance holds no image of this project)');
    return;
  }
  const rows = [...images]
    .sort((a, b) => String(a.name).localeCompare(String(b.name)))
    .map((image) => [
      image.id,
      String(image.name),
      image.status,
      String(image['disk_format'] ?? '-'),
      image.size === null ? '-' : String(image.size),
      image.os_hidden ? 'hidden' : 'shown',
      image.protected ? 'protected' : '-',
      propertiesOf(image),
    ]);
  const table = [['ID', 'NAME', 'STATUS', 'FORMAT', 'BYTES', 'LISTS', 'PROTECTED', 'PROPERTIES'], ...rows];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table)
    say(
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}`,
    );
}

function propertiesOf(image: ImageRecord): string {
  const own = Object.entries(image).filter(([key]) => !notShown.has(key) && !key.startsWith('os_glance'));
  return own.map(([key, value]) => `${key}=${String(value)}`).join(' ') || '-';
}
