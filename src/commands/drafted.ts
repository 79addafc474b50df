/**
 * The manifest for a file at a URL, worked out from everything that was found about it.
 *
 * Invariants: pure; a guess is a comment, never a field.
 */
import { apiVersion, kind } from '../api/group.ts';
import { maxInteger } from '../api/spec.ts';
import { formatBytes } from '../lib/bytes.ts';
import { percentDecoded } from '../lib/text.ts';
import { fileFromIndex, fileFromList, fileWithDigest } from '../source/registry.ts';
import { manifestText, resourceName } from './manifest-text.ts';
import { shown } from './output.ts';

export interface FoundList {
  url: string;
  /** Set where the list names the file otherwise than the URL. */
  fileName?: string | undefined;
  digest: string;
  /** Of a dated name of the same file, which does not move. */
  dated?: string | undefined;
  /** Inside of the list, or the URL of the file. */
  signature?: 'clearsigned' | { url: string } | undefined;
}

export interface FoundIndex {
  url: string;
  entries?: string | undefined;
  file: string;
  digest: string;
}

export interface DraftFacts {
  url: string;
  /** The list or index that a flag names. */
  given: string | undefined;
  size: number | undefined;
  format: string;
  compression: string | undefined;
  archive: string | undefined;
  /** The file of the archive, where a flag names it. */
  member: string | undefined;
  virtualSize: number | undefined;
  list: FoundList | undefined;
  indexed: FoundIndex | undefined;
  /** `<algorithm>:<hex>` of the downloaded file. */
  downloaded: string | undefined;
  /** The names of parameters with credentials that the URLs had. */
  leftOut: readonly string[];
  /** Sentences for the reader. */
  notes: readonly string[];
}

export interface DraftOptions {
  name: string | undefined;
  namespace: string | undefined;
  secret: string;
  cloud: string;
}

const gib = 2 ** 30;

function fits(virtualSize: number): boolean {
  return virtualSize <= maxInteger * gib;
}

export function draftOf(found: DraftFacts, { name, namespace, secret, cloud }: DraftOptions): string {
  const { url, format, virtualSize, list, indexed, downloaded, member } = found;
  const guess = guessFrom(url);
  const content =
    list !== undefined
      ? fileFromList(url, list, member)
      : indexed !== undefined && downloaded === undefined
        ? fileFromIndex(indexed, member)
        : fileWithDigest(url, downloaded ?? unknownDigest, member);
  const minDiskGiB = virtualSize === undefined || !fits(virtualSize) ? undefined : Math.ceil(virtualSize / gib);
  const manifest = {
    apiVersion,
    kind,
    metadata: { name: name ?? guess.name, ...(namespace === undefined ? {} : { namespace }) },
    spec: {
      cloud: { secretRef: { name: secret }, name: cloud },
      image: { diskFormat: format, ...(minDiskGiB === undefined ? {} : { minDiskGiB }) },
      content,
    },
  };
  const comments = commentsOf(found).map((line) => `# ${line}\n`);
  const properties = guess.properties.map(([key, value]) => `    #   ${key}: ${JSON.stringify(value)}\n`);
  const hint =
    properties.length === 0
      ? ''
      : `    # properties:                 # likely, by the name of the file\n${properties.join('')}`;
  const text = manifestText(manifest).replace(/^ {2}content:$/m, `${hint}  content:`);
  const headers = found.leftOut.length === 0 || !('http' in content) ? '' : headersHint;
  const verify = list?.signature === undefined ? '' : signatureHint(list.signature);
  return comments.join('') + text + headers + verify;
}

/** It is rejected at `kubectl apply`, so that nothing unverified is declared by accident. */
export const unknownDigest = 'sha256:FILL-IN';

const headersHint = '      # headersSecretRef: { name: headers }    # a Secret with the credentials of the server\n';

function signatureHint(signature: NonNullable<FoundList['signature']>): string {
  const at = signature === 'clearsigned' ? '' : `    #     signatureURL: ${signature.url}\n`;
  return (
    `    # verify:                     # the list is signed: put the keys of the publisher into a Secret\n` +
    `    #   openPGP:\n${at}    #     keysFrom: { secretRef: { name: publisher-keys } }\n`
  );
}

function commentsOf({
  url,
  given,
  size,
  format,
  compression,
  archive,
  virtualSize,
  list,
  indexed,
  downloaded,
  leftOut,
  notes,
}: DraftFacts): string[] {
  const packed = [compression, archive].filter((one) => one !== undefined).join(' and ');
  const sizes = size === undefined ? 'unknown size' : `${size} bytes (${formatBytes(size)})`;
  return [
    `${format}${packed === '' ? '' : `, packed with ${packed}`}, ${sizes}`,
    ...(virtualSize === undefined
      ? []
      : [
          `virtual size ${virtualSize} bytes (${formatBytes(virtualSize)})${fits(virtualSize) ? '' : ', which is more than minDiskGiB can be'}`,
        ]),
    ...(list === undefined
      ? []
      : [`digest in the list: ${list.digest}${list.dated === undefined ? '' : `, also of ${shown(list.dated)}`}`]),
    ...(list === undefined && indexed !== undefined ? [`the digest is in the index ${indexed.url}`] : []),
    ...(list === undefined && indexed === undefined && downloaded === undefined
      ? [
          `No digest of ${shown(fileNameOf(url))} was found ${given === undefined ? 'next to it' : `in ${given}`}: fill in the digest, or have it computed with --download`,
        ]
      : []),
    ...(leftOut.length === 0
      ? []
      : [
          `Left out of the URLs: ${shown(leftOut.join(', '))}, because they look like credentials, which everyone who can read a manifest gets. If the server needs some, ${list === undefined && indexed !== undefined && downloaded === undefined ? 'use a server that does not: an index is read without any' : 'put a header into a Secret with the annotation glance-image-operator.dev/hosts, and declare it as headersSecretRef'}`,
        ]),
    ...notes.map(shown),
  ];
}

const distributions = [
  'ubuntu',
  'debian',
  'fedora',
  'almalinux',
  'rocky',
  'centos',
  'opensuse',
  'cirros',
  'arch',
  'alpine',
  'gentoo',
  'freebsd',
  'flatcar',
  'gardenlinux',
  'talos',
  'rhel',
  'windows',
  'opnsense',
  'openwrt',
];

const architectures: readonly (readonly [RegExp, string])[] = [
  [/x86[_-]64|amd64/i, 'x86_64'],
  [/aarch64|arm64/i, 'aarch64'],
  [/ppc64le|ppc64el/i, 'ppc64le'],
  [/s390x/i, 's390x'],
];

/** As the publisher wrote it; a name that is no percent-encoding is taken as it is. */
export function fileNameOf(url: string): string {
  return percentDecoded(new URL(url).pathname.split('/').at(-1) ?? '');
}

function guessFrom(url: string): { name: string; properties: [key: string, value: string][] } {
  const { hostname, pathname } = new URL(url);
  const file = fileNameOf(url);
  const text = `${hostname} ${pathname}`.toLowerCase();
  const distribution = distributions.find((one) => text.includes(one));
  const architecture = architectures.find(([pattern]) => pattern.test(text))?.[1];
  const version = /(?<![\w.])(\d{1,4}(?:\.\d{1,2}){0,2})(?![\w])/.exec(file.replace(/x86[_-]64|s390x/gi, ''))?.[1];
  const name = resourceName(file.replace(/\.(?:qcow2|img|raw|iso|vmdk|vhdx?|vdi|gz|xz|zst|bz2|tar|zip)(?=\.|$)/gi, ''));
  return {
    name: name === '' ? 'image' : name,
    properties: [
      ...(architecture === undefined ? [] : [['hw_architecture', architecture] as [string, string]]),
      ...(distribution === undefined ? [] : [['os_distro', distribution] as [string, string]]),
      ...(version === undefined ? [] : [['os_version', version] as [string, string]]),
      ...(distribution === undefined
        ? []
        : [['os_type', distribution === 'windows' ? 'windows' : 'linux'] as [string, string]]),
    ],
  };
}
