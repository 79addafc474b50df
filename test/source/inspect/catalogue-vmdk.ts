/** VMDK images, and what becomes of each. */
import { breaksOff, broken, mismatch, sound, unsafe } from './cases.ts';
import { descriptor, file, le, mib, patched, vmdk } from './images.ts';

const flatExtent = 'RW 1 FLAT "/etc/passwd" 0\n';

/** A member of no bytes; the header has no signature, only a sum. */
function oldTar(): Buffer {
  const header = file(20480, [0, 'disk.raw'], [100, '0000644\0'], [124, '00000000000\0'], [148, '        ']);
  const sum = header.reduce((total, byte) => total + byte, 0);
  return patched(header, [148, `${sum.toString(8).padStart(6, '0')}\0 `]);
}

const parent = 'parentFileNameHint="/etc/passwd"';
export const vmdkCases = [
  sound('vmdk', 'monolithicSparse', vmdk(), 2 * mib),
  sound('vmdk', 'streamOptimized with a footer', vmdk({ footer: (footer) => footer, version: 3 }), 2 * mib),
  sound('vmdk', 'a short descriptor', vmdk({ descriptorSectors: 1 }), 2 * mib),
  unsafe(
    'vmdk',
    'a flat extent',
    vmdk({ text: descriptor('monolithicFlat', 'RW 1 FLAT "/etc/passwd" 0') }),
    /of the kind monolithicflat/,
  ),
  unsafe(
    'vmdk',
    'an extent elsewhere',
    vmdk({ text: descriptor('monolithicSparse', 'RW 1 SPARSE "/etc/passwd"') }),
    /extents in other files/,
  ),
  unsafe(
    'vmdk',
    'a second extent',
    vmdk({ text: descriptor('monolithicSparse', 'RW 1 SPARSE "a"\nRW 1 SPARSE "b"') }),
    /extents in other files/,
    {
      why: 'the kinds that are allowed are one file',
    },
  ),
  unsafe(
    'vmdk',
    'a flat extent without a path',
    vmdk({ text: descriptor('monolithicSparse', 'RW 1 FLAT "secret" 0') }),
    /extents in other files/,
    {
      why: 'the kinds that are allowed are one file',
    },
  ),
  unsafe('vmdk', 'no extent', vmdk({ text: descriptor('monolithicSparse', '') }), /without an extent/),
  unsafe(
    'vmdk',
    'a line that is none',
    vmdk({ text: descriptor('monolithicSparse', undefined, 'include other') }),
    /an unknown line in its descriptor/,
  ),
  unsafe(
    'vmdk',
    'an extent with tabs',
    vmdk({ text: descriptor('monolithicSparse', undefined, 'RW\t1\tFLAT\t"/x=" 0') }),
    /an unknown line in its descriptor/,
    {
      why: 'Glance takes the line for a field, QEMU for an extent',
    },
  ),
  unsafe(
    'vmdk',
    'a parent file',
    vmdk({ text: descriptor('monolithicSparse', undefined, parent) }),
    /names a parent file/,
    {
      why: 'QEMU opens the parent as a backing file',
    },
  ),
  unsafe(
    'vmdk',
    'a parent file in a comment',
    vmdk({ text: descriptor('monolithicSparse', undefined, `# ${parent}`) }),
    /names a parent file/,
    {
      why: 'QEMU finds the word anywhere',
    },
  ),
  unsafe(
    'vmdk',
    'a parent file behind the stated end',
    vmdk({ text: `${descriptor('monolithicSparse').padEnd(512, '#')}\n${parent}`, descriptorSectors: 1 }),
    /names a parent file/,
    { why: 'QEMU reads on to the first NUL' },
  ),
  unsafe(
    'vmdk',
    'a parent image',
    vmdk({ text: descriptor('monolithicSparse').replace('ffffffff', '12345678') }),
    /the difference to a parent/,
    {
      why: 'it is not a whole disk',
    },
  ),
  unsafe(
    'vmdk',
    'two kinds',
    vmdk({ text: descriptor('monolithicSparse', undefined, 'createType="monolithicFlat"') }),
    /names its kind twice/,
    {
      why: 'readers differ in which of the two they take',
    },
  ),
  unsafe('vmdk', 'no kind', vmdk({ text: descriptor('x').replace('createType', 'type') }), /of the kind unknown/),
  unsafe('vmdk', 'no descriptor', vmdk({ descriptorSectors: 0 }), /has no descriptor/),
  unsafe(
    'vmdk',
    'a descriptor in another language',
    vmdk({ text: descriptor('monolithicSparse', undefined, '# caf\xe9') }),
    /not ASCII/,
  ),
  unsafe('vmdk', 'no capacity', vmdk({ capacity: 0 }), /only a descriptor of other files/, {
    why: 'QEMU takes it for a mere descriptor and opens what that names',
  }),
  unsafe(
    'vmdk',
    'a footer with another descriptor',
    vmdk({ footer: (footer) => patched(footer, [540, le(8, 7)]) }),
    /contradicts its header/,
  ),
  unsafe(
    'vmdk',
    'a footer with another size',
    vmdk({ footer: (footer) => patched(footer, [524, le(8, 2 ** 40)]) }),
    /contradicts its header/,
    {
      why: 'QEMU goes by the size in the footer',
    },
  ),
  unsafe(
    'vmdk',
    'a footer that leads to a footer',
    vmdk({ footer: (footer) => patched(footer, [568, le(8, -1)]) }),
    /contradicts its header/,
  ),
  unsafe(
    'vmdk',
    'a footer without its marker',
    vmdk({ footer: (footer) => patched(footer, [12, le(4, 2)]) }),
    /without its marker/,
  ),
  unsafe(
    'vmdk',
    'a footer without an end',
    vmdk({ footer: (footer) => patched(footer, [1400, 'x']) }),
    /no end marker/,
  ),
  unsafe('vmdk', 'a stated footer that is missing', vmdk({ footer: () => Buffer.alloc(0) }), /is cut off/),
  mismatch(
    'vmdk',
    'a footer that would begin in its descriptor',
    vmdk({ descriptorSectors: 1, length: 1024, footer: (footer) => footer.subarray(512) }),
    /cut off before its footer/,
  ),
  mismatch('vmdk', 'an unknown version', vmdk({ version: 4 }), /has version 4/),
  mismatch('vmdk', 'a descriptor elsewhere', vmdk({ descriptorSector: 2 }), /descriptor in the second sector/),
  mismatch('vmdk', 'cut off in its descriptor', vmdk({ descriptorSectors: 2048 }), /cut off in its descriptor/),
  mismatch(
    'vmdk',
    'a descriptor of an impossible length',
    vmdk({ descriptorSectors: 2n ** 63n }),
    /cut off in its descriptor/,
  ),
  mismatch('vmdk', 'a signature and nothing more', file(1000, [0, 'KDMV']), /has version 0/),
  mismatch('vmdk', 'cut off in its header', vmdk().subarray(0, 40), /cut off in its header/),
  unsafe(
    'vmdk',
    'a mere descriptor',
    Buffer.from(descriptor('monolithicFlat', 'RW 1 FLAT "/etc/passwd" 0')),
    /only a descriptor/,
  ),
  unsafe(
    'vmdk',
    'a mere descriptor behind a long comment',
    // Half of the word that is looked for lies in one stretch, half in the next.
    Buffer.from(`${'#'.repeat(64 + 4096 - 7)}\ncreateType="monolithicFlat"\nRW 1 FLAT "/etc/passwd" 0`),
    /only a descriptor/,
  ),
  unsafe(
    'vmdk',
    'a mere descriptor of an allowed kind',
    Buffer.from(descriptor('monolithicSparse')),
    /only a descriptor/,
  ),
  unsafe(
    'vmdk',
    'a mere descriptor that is not ASCII',
    broken(descriptor('monolithicFlat', 'RW 1 FLAT "/etc/passwd" 0')),
    /only a descriptor/,
    {
      why: breaksOff,
    },
  ),
  // QEMU opens each of these, and the files that it names, if it is not given a format.
  ...[
    ['with another kind of quotes', `version=1\ncreateType= monolithicFlat"\n${flatExtent}`],
    ['after a comment that is not ASCII', `# caf\xe9 \xff\n\nversion=1\ncreateType="monolithicFlat"\n${flatExtent}`],
    ['after blank lines', `\n \r\n\nversion=3\ncreateType:"monolithicFlat"\n${flatExtent}`],
    ['with binary data after its first line', `version=2\n\0\x01\xff${flatExtent}`],
  ].map(([how, text]) =>
    unsafe(
      'vmdk',
      `a mere descriptor ${how}`,
      Buffer.from((text ?? '').padEnd(600, ' '), 'latin1'),
      /only a descriptor/,
      {
        why: 'Glance does not recognise it as a VMDK, but QEMU does',
      },
    ),
  ),
  unsafe('vmdk', 'the sparse kind of ESX', file(4096, [0, 'COWD']), /the old kind for ESX/, {
    why: 'Glance does not recognise it, but QEMU does',
  }),
  mismatch('vmdk', 'an OVA', file(20480, [257, 'ustar']), /a tar archive/, { plain: true }),
  mismatch('vmdk', 'a tar archive of the oldest kind', oldTar(), /a tar archive/, { plain: true }),
];
