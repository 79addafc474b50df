/** Prints the demo on the terminal. Invariant: every line is output of a server or tool, none is made up. */
import { styleText } from 'node:util';
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

const internal = new Set(['glance_image_operator_owner', 'glance_image_operator_cluster']);
const base = new Set(
  (
    'id name status visibility protected owner size virtual_size checksum os_hash_algo os_hash_value os_hidden min_disk min_ram disk_format ' +
    'container_format created_at updated_at tags self file schema stores direct_url locations'
  ).split(' '),
);

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
      image.protected ? 'protected' : '-',
      propertiesOf(image),
    ]);
  const table = [['ID', 'NAME', 'STATUS', 'FORMAT', 'BYTES', 'PROTECTED', 'PROPERTIES'], ...rows];
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
  const own = Object.entries(image).filter(
    ([key]) => !base.has(key) && !internal.has(key) && !key.startsWith('os_glance'),
  );
  return own.map(([key, value]) => `${key}=${String(value)}`).join(' ') || '-';
}
