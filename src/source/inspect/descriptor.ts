/**
 * The descriptor of a VMDK: a text inside the file that says of which files the disk consists. Law: it is sound only if every
 * line of it is understood, and if by each reader's rules, Glance's and QEMU's, the disk is this one file.
 */

/** The kinds that are one file, in lower case. */
const kinds = ['monolithicsparse', 'streamoptimized'];

/** Why the disk is not this one file, to end a sentence "as it …"; undefined if it is. `text` ends before its first NUL. */
export function descriptorProblem(text: Buffer): string | undefined {
  if (text.length === 0) return 'has no descriptor';
  if (text.some((byte) => byte > 0x7f)) return 'has a descriptor that is not ASCII text';
  const lower = text.toString('latin1').toLowerCase();
  // Readers differ in which of several they take, and in whether they care for the case.
  if (lower.split('createtype').length > 2) return 'says twice which kind it is';
  const kind = /createtype="(\w{1,63})"/.exec(lower)?.[1];
  if (kind === undefined || !kinds.includes(kind))
    return `is of the kind ${kind ?? 'unknown'}, which may consist of other files; only monolithicSparse and streamOptimized are one`;
  // QEMU finds the word anywhere in the text, and opens the file.
  if (lower.includes('parentfilenamehint')) return 'names a parent file, which could expose files of a hypervisor';
  return linesProblem(lower.split('\n').map(strip));
}

function linesProblem(lines: string[]): string | undefined {
  const extents: string[] = [];
  for (const line of lines) {
    if (line === '' || line.startsWith('#') || line.startsWith('ddb')) continue;
    const [, key, value] = /^([\w.]+)=(.*)$/s.exec(line) ?? [];
    if (key === 'parentcid' && value !== 'ffffffff') return 'is only the difference to a parent image';
    if (key !== undefined) continue;
    if (!/^(rw|rdonly|noaccess) /.test(line)) return 'has a line in its descriptor that none should have';
    extents.push(line);
  }
  const [extent, ...more] = extents;
  if (extent === undefined) return 'has a descriptor without an extent';
  if (more.length > 0 || extent.includes('/') || !/^\w+ +\d+ +sparse\b/.test(extent))
    return 'has extents in other files, which could expose files of a hypervisor';
  return undefined;
}

/** As Python's strip, by which Glance goes: it knows four separators as white space that JavaScript does not. */
function strip(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  return line.replace(/^[\t-\r\x1c- ]+|[\t-\r\x1c- ]+$/g, '');
}
