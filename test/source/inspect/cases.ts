/**
 * The expected outcome for an image, as a row of a table.
 *
 * Invariant: only rows with `why` have an inspection stricter than Glance, except for container formats that are
 * declared as raw.
 */

export type Outcome = 'ok' | 'FormatMismatch' | 'UnsafeImage';

export interface Case {
  name: string;
  image: Buffer;
  /** What its maker would declare it as. */
  label: string;
  /** What becomes of it under that label, and as raw. */
  own: Outcome;
  raw: Outcome;
  /** Whether it is no known format, and so goes as ami, ari, aki and ploop too. */
  plain: boolean;
  /** Under its own label; undefined where Glance does not know it. */
  virtualSize: number | undefined;
  /** Glance takes it without computing a size. */
  unsized: boolean;
  /** Why it is rejected although Glance accepts it. */
  why: string | undefined;
  /** What the message under its own label, or else the one as raw, must say. */
  says: RegExp | undefined;
}

export const labels = [
  'raw',
  'qcow2',
  'vmdk',
  'vhd',
  'vhdx',
  'vdi',
  'iso',
  'gpt',
  'luks',
  'ami',
  'ari',
  'aki',
  'ploop',
];

export function outcome(entry: Case, label: string): Outcome {
  if (label === entry.label) return entry.own;
  if (label === 'raw') return entry.raw;
  return entry.plain && ['ami', 'ari', 'aki', 'ploop'].includes(label) ? 'ok' : 'FormatMismatch';
}

type Rest = Partial<Pick<Case, 'raw' | 'plain' | 'unsized' | 'why' | 'says' | 'virtualSize'>>;

export const sound = (
  label: string,
  name: string,
  image: Buffer,
  virtualSize: number | undefined,
  rest: Rest = {},
): Case => line(label, 'ok', name, image, { virtualSize, ...rest });
export const unsafe = (label: string, name: string, image: Buffer, says: RegExp, rest: Rest = {}): Case =>
  line(label, 'UnsafeImage', name, image, { says, ...rest });
export const mismatch = (label: string, name: string, image: Buffer, says: RegExp, rest: Rest = {}): Case =>
  line(label, 'FormatMismatch', name, image, { says, ...rest });

export function line(label: string, own: Outcome, name: string, image: Buffer, rest: Rest): Case {
  const defaults = { plain: false, unsized: false, virtualSize: undefined, why: undefined, says: undefined };
  // An image that is not a container format may be declared as raw, too.
  const asRaw = ['raw', 'gpt', 'iso', 'luks'].includes(label) ? own : 'FormatMismatch';
  return { name, image, label, own, raw: asRaw, ...defaults, ...rest };
}

export const plain = (name: string, image: Buffer) => sound('raw', name, image, image.length, { plain: true });

/** A text that begins like ASCII. */
export const broken = (text: string) => Buffer.from(`${text.padEnd(600, '#')}\xff\n`, 'latin1');
export const breaksOff =
  'the check of Glance breaks off at such a text and lets it through under every label, without a size';
