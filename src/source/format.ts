/**
 * A first look at the bytes: are they what is declared, and not an error page that came with a 200? Law: the verdict
 * depends on the first `headBytes` bytes only, never on how they were cut into chunks, and is the one Glance would come to
 * where it looks itself; for there a refused image is unusable from then on.
 */
import { OperatorError, retry } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';

/** Up to the end of the signature of ISO 9660, the one that lies deepest. */
export const headBytes = 32_774;

interface Signature {
  format: string;
  offset: number;
  bytes: Uint8Array;
}

const signature = (format: string, offset: number, bytes: string): Signature => ({
  format,
  offset,
  bytes: Buffer.from(bytes, 'latin1'),
});

const imageSignatures = [
  signature('qcow2', 0, 'QFI\xfb'),
  signature('qed', 0, 'QED\0'),
  signature('vmdk', 0, 'KDMV'),
  signature('vmdk descriptor', 0, '# Disk DescriptorFile'),
  signature('vhd', 0, 'conectix'),
  signature('vhdx', 0, 'vhdxfile'),
  signature('vdi', 0x40, '\x7f\x10\xda\xbe'),
  signature('luks', 0, 'LUKS\xba\xbe'),
  signature('iso', 32_769, 'CD001'),
];
const compressionSignatures = [
  signature('gzip', 0, '\x1f\x8b\x08'),
  signature('xz', 0, '\xfd7zXZ\0'),
  signature('zstd', 0, '\x28\xb5\x2f\xfd'),
  signature('bzip2', 0, 'BZh'),
];
const signatures = [...imageSignatures, ...compressionSignatures];
const compressions = compressionSignatures.map(({ format }) => format);

/** What may be detected (undefined: nothing known) under each declared format. */
const accepted: Record<string, (string | undefined)[]> = {
  qcow2: ['qcow2'],
  vmdk: ['vmdk'],
  vhdx: ['vhdx'],
  vdi: ['vdi'],
  iso: ['iso'],
  // A fixed VHD is a raw disk with a footer.
  vhd: ['vhd', undefined],
  // Hybrid ISO images boot from a raw disk too, and an encrypted volume is one.
  raw: [undefined, 'iso', 'luks'],
};
/** Kernels, ramdisks and whatever else a cloud has been taught: may be compressed, is no disk image of another kind. */
const acceptedElsewhere = [undefined, ...compressions];

export interface FormatCheck {
  /** Throws FormatMismatch or UnsafeImage as soon as enough bytes were seen. */
  update(chunk: Uint8Array): void;
  /** To be called at the end of the body: decides about what is shorter than the head. */
  finish(): void;
}

export function createFormatCheck(diskFormat: string, url: string): FormatCheck {
  const head = Buffer.alloc(headBytes);
  let filled = 0;
  let state: 'collecting' | 'decided' = 'collecting';
  const decide = () => {
    state = 'decided';
    checkHead(head.subarray(0, filled), diskFormat, url);
  };
  return {
    update(chunk) {
      if (state === 'decided') return;
      const taken = chunk.subarray(0, headBytes - filled);
      head.set(taken, filled);
      filled += taken.length;
      if (filled === headBytes) decide();
    },
    finish() {
      if (state === 'collecting') decide();
    },
  };
}

/** `head` is the beginning of the image, or all of it if it is shorter than `headBytes`. */
export function checkHead(head: Uint8Array, diskFormat: string, url: string): void {
  const page = errorPage(head);
  if (page !== undefined)
    // Not the declaration is wrong here but the server, for now.
    throw new OperatorError(
      `${safeUrl(url)} sent ${page} instead of an image, with status 200: open the URL to see what it says`,
      { code: 'FormatMismatch', retry: retry.after(10 * 60_000) },
    );
  const detected = detect(head);
  if (!(accepted[diskFormat] ?? acceptedElsewhere).includes(detected))
    throw new OperatorError(mismatch(diskFormat, detected, url), { code: 'FormatMismatch', retry: retry.change });
  if (diskFormat === 'qcow2') checkQcow2(head, url);
}

function detect(head: Uint8Array): string | undefined {
  return signatures.find(({ offset, bytes }) => bytes.every((byte, at) => head[offset + at] === byte))?.format;
}

function mismatch(diskFormat: string, detected: string | undefined, url: string): string {
  const start = `${safeUrl(url)} is not ${diskFormat}, which image.diskFormat declares`;
  if (detected === undefined) return `${start}: its signature is missing`;
  if (compressions.includes(detected)) return `${start}, but a file compressed with ${detected}`;
  return `${start}, but ${detected}`;
}

/** Names the kind of text that servers send in place of a file, if the head looks like one. */
function errorPage(head: Uint8Array): string | undefined {
  const start = Buffer.from(head.subarray(0, 512)).toString('latin1');
  const text = start.replace(/^\xef\xbb\xbf/, '').trimStart();
  if (/^<(!doctype\s+html|html|head|body)\b/i.test(text)) return 'an HTML page';
  if (/^<(\?xml|error)\b/i.test(text)) return 'an XML document';
  if (/^\{\s*["}]/.test(text) && !text.includes('\0')) return 'a JSON document';
  return undefined;
}

/** A qcow2 image may name other files, and whoever opens the image on a hypervisor would read those of that host. */
function checkQcow2(head: Uint8Array, url: string): void {
  const unsafe = (what: string) =>
    new OperatorError(`${safeUrl(url)} is a qcow2 image with ${what}, which could expose files of a hypervisor`, {
      code: 'UnsafeImage',
      retry: retry.change,
    });
  // Glance takes what is shorter for raw. A real image has at least four clusters.
  if (head.length < 512)
    throw new OperatorError(`${safeUrl(url)} is cut off in the qcow2 header`, {
      code: 'FormatMismatch',
      retry: retry.change,
    });
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getBigUint64(8) !== 0n) throw unsafe('a backing file');
  // In version 2 these bits mean something else, but Glance looks at them all the same.
  if ((view.getUint8(79) & 0x04) !== 0) throw unsafe('an external data file');
}
