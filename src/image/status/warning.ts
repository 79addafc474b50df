/** Warnings about a resource. They do not prevent what it declares. */
import type { Warning } from '../../api/conditions.ts';
import type { ContentSpec } from '../../api/content.ts';
import { withDefaults } from '../../api/defaults.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { isPatchable, isServerKey, reservedPrefix } from '../../glance/property-names.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { safeUrl } from '../../lib/secret.ts';
import { printable } from '../../lib/text.ts';
import { parseDigest, weaknessOf } from '../../source/digest.ts';
import { questionOf, sourceOf } from '../../source/registry.ts';
import { addressOf, contentOf, pinHolds } from '../model/content.ts';

/** In code points; a condition has room for a few more. */
const longest = 4000;

/** What was last seen of the image. */
export interface SeenBefore {
  /** All that the image has. */
  properties: Readonly<Record<string, unknown>> | undefined;
  /** Of the transfer that filled the image. */
  transferWarnings: readonly string[] | undefined;
  /** Bytes of the disk in the image. */
  virtualSize: number | undefined;
  /** Properties that Glance did not let the operator remove. */
  unremovable: readonly string[] | undefined;
  /** Why it is unknown whether servers use images that are to be deleted, by their IDs. */
  unknownUse: readonly { imageID: string; why?: string | undefined }[];
  /** As it is written, where the resource has the digest that was found. */
  declared?: ContentSpec | undefined;
}

/** One condition for all of them, with the reason of the first, which is the most important one. */
export function warningOf(resource: GlanceImage, seen: SeenBefore): Warning | undefined {
  const warnings = [
    pinned(resource),
    weakDigest(resource),
    notProven(seen.declared),
    notDecompressed(resource),
    smallDisk(resource, seen),
    fromTransfer(seen.transferWarnings),
    fractions(resource),
    stuckProperties(resource, seen),
    unknownUse(seen),
  ].filter((warning) => warning !== undefined);
  const [first] = warnings;
  if (first === undefined) return undefined;
  return { ...first, message: printable(warnings.map(({ message }) => message).join('; '), longest) };
}

function pinned(resource: GlanceImage): Warning | undefined {
  const content = contentOf(resource);
  const { pin } = resource.spec.revisions ?? {};
  if (content === undefined || pin === undefined || !pinHolds(pin, content)) return undefined;
  return {
    reason: 'Pinned',
    message: `revisions.pin holds the revision with the digest ${pin}, so the data that content declares is not used; remove the pin to use it`,
  };
}

function weakDigest(resource: GlanceImage): Warning | undefined {
  const content = contentOf(resource);
  if (content === undefined) return undefined;
  const digests = [content.digest ?? [], ...sourceOf(content.source).alternatives.map(({ digest }) => digest)].flat();
  const message = digests.map((digest) => weaknessOf(parseDigest(digest).algorithm)).find((one) => one !== undefined);
  return message === undefined ? undefined : { reason: 'WeakDigest', message };
}

/** Nothing but the connection says whose file it is, if anything does. */
function notProven(declared: ContentSpec | undefined): Warning | undefined {
  const question = declared && questionOf(declared);
  if (question === undefined || question.isSigned) return undefined;
  const isPlain = URL.parse(question.url)?.protocol === 'http:';
  const between = 'everyone between its server and this cluster can replace it';
  if (question.looksFor.kind === 'firstUse')
    return {
      reason: 'FirstUse',
      message: isPlain
        ? `digestFrom.firstUse trusts the file that came first, over http, where ${between}: use https, and declare its digest or the list of its publisher if there is one`
        : 'digestFrom.firstUse trusts the file that came first: declare its digest, or the list of its publisher if there is one',
    };
  if (!isPlain) return undefined;
  return {
    reason: 'UnsignedList',
    message: `${safeUrl(question.url)} is read over http and has no declared signature, so ${between}, and the image with it: use https, or declare content.verify`,
  };
}

/** Extensions of files that are no disk before they are decompressed or unpacked. */
const packed = /\.(?:gz|tgz|xz|txz|bz2|tbz2?|zst|tzst|lz4|lz|lzma|zip|7z|tar)$/i;

/** With WebDownload the operator does not see the bytes. */
function notDecompressed(resource: GlanceImage): Warning | undefined {
  const content = contentOf(resource);
  if (content?.method !== 'WebDownload' || content.containerFormat !== 'bare') return undefined;
  const extension = packed.exec(URL.parse(addressOf(content))?.pathname ?? '')?.[0];
  if (extension === undefined) return undefined;
  return {
    reason: 'NotDecompressed',
    message: `the URL ends with ${extension}, and method WebDownload decompresses and unpacks nothing: unless the import plugins of the cloud do, no server can boot from the image; use method Upload, or the URL of the decompressed file`,
  };
}

/** `minDiskGiB` was lowered after the data was verified. The record of the image has it as declared. */
function smallDisk({ spec }: GlanceImage, { virtualSize = 0 }: SeenBefore): Warning | undefined {
  const { minDiskGiB } = withDefaults(spec).image;
  if (minDiskGiB === 0 || virtualSize <= minDiskGiB * gib) return undefined;
  return {
    reason: 'MinDiskTooSmall',
    message:
      `the image is a disk of ${formatBytes(virtualSize)} (${virtualSize} bytes), so servers with the root disk of ${minDiskGiB} GiB ` +
      `that image.minDiskGiB admits do not start: set it to ${Math.ceil(virtualSize / gib)}`,
  };
}

const gib = 2 ** 30;

function fromTransfer(warnings: readonly string[] = []): Warning | undefined {
  return warnings.length === 0 ? undefined : { reason: 'SourceUnusual', message: warnings.join('; ') };
}

/** YAML reads 24.10 as the number 24.1, which the API server cannot undo. */
function fractions({ spec }: GlanceImage): Warning | undefined {
  const names = Object.entries(spec.image.properties ?? {}).flatMap(([key, value]) =>
    typeof value === 'number' && !Number.isInteger(value) ? [`${JSON.stringify(key)} is ${value}`] : [],
  );
  if (names.length === 0) return undefined;
  return {
    reason: 'FractionalProperty',
    message: `properties are declared as fractions, in which YAML drops zeros at the end (24.10 becomes 24.1): ${names.join(', ')}; put versions in quotes`,
  };
}

function stuckProperties(
  resource: GlanceImage,
  { properties = {}, unremovable = [] }: SeenBefore,
): Warning | undefined {
  const denied = unremovable.filter((name) => Object.hasOwn(properties, name));
  const isPurged = withDefaults(resource.spec).propertyPolicy === 'Purge';
  const stuck = isPurged ? Object.keys(properties).filter(cannotBeRemoved) : [];
  const names = (list: readonly string[]) => list.map((name) => JSON.stringify(name)).join(', ');
  const messages = [
    ...(stuck.length === 0 ? [] : [`that Glance cannot remove because of their names: ${names(stuck)}`]),
    ...(denied.length === 0 ? [] : [`that the property protections of this cloud keep: ${names(denied)}`]),
  ];
  if (messages.length === 0) return undefined;
  return {
    reason: 'PropertyNotRemovable',
    message: `the image has properties that are not declared and ${messages.join('; and ')}`,
  };
}

function unknownUse({ unknownUse: images }: SeenBefore): Warning | undefined {
  const [first] = images;
  if (first === undefined) return undefined;
  const ids = images.map(({ imageID }) => imageID).join(', ');
  return {
    reason: 'UseUnknown',
    message: `replaced revisions are kept because it is not known whether servers use them: ${ids} (${first.why ?? 'Nova did not say'})`,
  };
}

/** The properties in which Glance keeps the state of imports are not among them: Glance removes them itself. */
function cannotBeRemoved(name: string): boolean {
  return !name.startsWith(reservedPrefix) && (isServerKey(name) || !isPatchable(name));
}
