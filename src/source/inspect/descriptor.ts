/**
 * The descriptor of a VMDK: a text inside the file that names the files of the disk.
 *
 * Invariant: it is sound only if every line is understood and if the disk is this one file by the rules of all readers, those of
 * Glance and of QEMU.
 */

/** The kinds that are one file, in lower case. */
const kinds = ['monolithicsparse', 'streamoptimized'];

/** Why the disk is not this one file, to end the sentence "as it …"; undefined if it is. `text` ends before its first NUL. */
export function descriptorProblem(text: Buffer): string | undefined {
  if (text.length === 0) return 'has no descriptor';
  if (text.some((byte) => byte > 0x7f)) return 'has a descriptor that is not ASCII text';
  const lower = text.toString('latin1').toLowerCase();
  // Readers differ in which of several they use, and in whether they distinguish upper and lower case.
  if (lower.split('createtype').length > 2) return 'names its kind twice';
  const kind = /createtype="(\w{1,63})"/.exec(lower)?.[1];
  if (kind === undefined || !kinds.includes(kind))
    return `is of the kind ${kind ?? 'unknown'}, which may consist of other files; only monolithicSparse and streamOptimized are one`;
  // QEMU finds this key anywhere in the text, and opens the file.
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
    if (!/^(rw|rdonly|noaccess) /.test(line)) return 'has an unknown line in its descriptor';
    extents.push(line);
  }
  const [extent, ...more] = extents;
  if (extent === undefined) return 'has a descriptor without an extent';
  if (more.length > 0 || extent.includes('/') || !/^\w+ +\d+ +sparse\b/.test(extent))
    return 'has extents in other files, which could expose files of a hypervisor';
  return undefined;
}

/** Like strip() of Python, which Glance uses: four separators count as white space that do not in JavaScript. */
function strip(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are meant
  return line.replace(/^[\t-\r\x1c- ]+|[\t-\r\x1c- ]+$/g, '');
}
