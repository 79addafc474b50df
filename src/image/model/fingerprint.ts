/**
 * The fingerprint of a content: what the bytes in Glance depend on, in one line. The operator writes it on the image before it
 * sends the first byte.
 *
 * Invariant: a fingerprint that was written once is written the same by every later version. It has no URL, mirror, Secret,
 * method or store, because they do not change the bytes; fields that are added later are left out at their default.
 */
import type { CloudSpec } from '../../api/fields.ts';
import type { Image } from '../../glance/image.ts';
import { type SourcePlan, sourceOf } from '../../source/registry.ts';
import { contentProperty } from './identity.ts';

/** What a content and the plan of a transfer have in common. */
export interface Fingerprinted {
  source: SourcePlan;
  /** `<algorithm>:<hex>`; undefined where the source has a digest itself. */
  digest?: string | undefined;
  digestOf: 'Served' | 'Image';
  decompress: 'Auto' | 'None';
  /** The declared file of an archive. */
  member?: string | undefined;
  convert?: 'Raw' | undefined;
  diskFormat: string;
  containerFormat?: string | undefined;
}

const version = 'v1';
const memberKey = 'member=';
const converted = 'convert=Raw';

export function fingerprintOf(content: Fingerprinted): string {
  const { diskFormat, containerFormat = 'bare', member, convert } = content;
  const added = [
    ...(convert === undefined ? [] : [converted]),
    ...(member === undefined ? [] : [`${memberKey}${member}`]),
  ];
  return [version, ...bytesOf(content), diskFormat, containerFormat, ...added].join(';');
}

function bytesOf({ source, digest = '', digestOf, decompress }: Fingerprinted): string[] {
  const { bytesID } = sourceOf(source);
  return bytesID === undefined ? [digest.toLowerCase(), digestOf, decompress] : [bytesID];
}

/**
 * What a finding about the data of an image in `cloud` is for: the fingerprint, and the cloud of a source image, unless that is `cloud`.
 * The fingerprint on the image does not have it, because Secrets and clouds are renamed. A finding for another cloud is none, so
 * the data is copied and verified again.
 */
export function bindingOf(content: Fingerprinted, cloud: Pick<CloudSpec, 'secretRef' | 'name' | 'region'>): string {
  const place = sourceOf(content.source).placeBeside(cloud);
  return place === undefined ? fingerprintOf(content) : `${fingerprintOf(content)};from=${place}`;
}

/** After the formats, before the fields that were added later, of which none has this form. */
const withDeclaration = /^(v1;(?:[^;]*;){4}[^;]*);source=([0-9a-f]{16})(?=;|$)/;

/**
 * The value of the property on the image: the fingerprint, and where a publisher provided the digest, the hash of the declaration that
 * it was found for. After a lost status that says whether the digest is that of the declared source; it is no part of the comparison.
 */
export function contentMark(fingerprint: string, declaration: string | undefined): string {
  if (declaration === undefined || digestIn(fingerprint) === undefined) return fingerprint;
  const parts = fingerprint.split(';');
  return [...parts.slice(0, 6), `source=${declaration}`, ...parts.slice(6)].join(';');
}

/** The fingerprint that an image bears, if it bears one. */
export function fingerprintOn({ properties }: Pick<Image, 'properties'>): string | undefined {
  const mark = properties[contentProperty];
  return typeof mark === 'string' ? fingerprintIn(mark) : undefined;
}

function fingerprintIn(mark: string): string {
  return mark.replace(withDeclaration, '$1');
}

/** For which declaration a publisher provided the digest of an image, as `status.source` has it. */
export function declarationOn({ properties }: Pick<Image, 'properties'>): string | undefined {
  const mark = properties[contentProperty];
  return typeof mark === 'string' ? declarationIn(mark) : undefined;
}

function declarationIn(mark: string): string | undefined {
  return withDeclaration.exec(mark)?.[2];
}

/** Whether a mark is that of this content, or of an earlier file of the publisher that the same declaration names. */
export function isDeclaredAlike(mark: string, fingerprint: string, declaration: string | undefined): boolean {
  const before = fingerprintIn(mark);
  if (before === fingerprint) return true;
  const isSameSource = declaration !== undefined && declaration === declarationIn(mark);
  return isSameSource && withoutDigest(before) === withoutDigest(fingerprint);
}

function withoutDigest(fingerprint: string): string {
  return fingerprint.split(';').toSpliced(1, 1).join(';');
}

/** The digest in a fingerprint; undefined if it has none. */
export function digestIn(fingerprint: string): string | undefined {
  const [head, digest = ''] = fingerprint.split(';');
  return head === version && /^[a-z0-9]+:[0-9a-f]+$/.test(digest) ? digest : undefined;
}

export interface FingerprintParts {
  digest: string;
  digestOf: 'Served' | 'Image';
  decompress: 'Auto' | 'None';
  diskFormat: string;
  containerFormat: string;
  member: string | undefined;
  convert: 'Raw' | undefined;
}

/** What a fingerprint with a digest says of the data. */
export function partsIn(fingerprint: string): FingerprintParts | undefined {
  const digest = digestIn(fingerprint);
  const [, , digestOf, decompress, diskFormat, containerFormat, ...added] = fingerprint.split(';');
  if (digest === undefined || (digestOf !== 'Served' && digestOf !== 'Image')) return undefined;
  if (decompress !== 'Auto' && decompress !== 'None') return undefined;
  if (diskFormat === undefined || containerFormat === undefined) return undefined;
  const member = added.find((one) => one.startsWith(memberKey))?.slice(memberKey.length);
  const convert = added.includes(converted) ? ('Raw' as const) : undefined;
  return { digest, digestOf, decompress, diskFormat, containerFormat, member, convert };
}

/** Which bytes the digest in a fingerprint is of, and how the image is made of them. */
export function decompressionIn(fingerprint: string): string {
  const [, , of, decompress, , , ...added] = fingerprint.split(';');
  return [of, decompress, ...added].join(';');
}
