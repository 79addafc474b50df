/** Reasons of failures in the source and in the data. */
import { itself, publisher, type ReasonEntry, showOperator, showResource } from './reason-entry.ts';

const check = 'curl --location --head URL';

export const dataReasons = {
  PinNotFound: {
    meaning:
      'No revision has the digest that `revisions.pin` names, and `content` declares another one. Nothing is changed.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Name a digest of `status.revisions`, declare this digest in `content`, or remove the pin.',
    command: showResource,
  },
  SourceNotFound: {
    meaning: 'The source responded that the file does not exist.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix `content.http.url`, or publish the file.',
    command: check,
  },
  SourceForbidden: {
    meaning: 'The source does not allow the download.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix the headers in the Secret of headersSecretRef, or the rights at the source.',
    command: check,
  },
  SourceRefused: {
    meaning: 'The source rejected the request.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'The message has the response of the source. Fix the URL or the headers.',
    command: check,
  },
  SourceUnreachable: {
    meaning: 'No connection to the source.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If only the operator cannot reach it: check network policy and DNS.`,
    command: check,
  },
  SourceUntrusted: {
    meaning: 'The certificate of the source is not trusted.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Name the CA of the source with caSecretRef, have it added to the CA bundle of the installation, or have the certificate renewed.',
    command: 'kubectl create secret generic source-ca --from-file=ca.crt=ca.pem',
  },
  SourceUnavailable: {
    meaning: 'The source responded with a server error, or the image to copy has no data yet.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: itself,
    command: check,
  },
  SourceSilent: {
    meaning: 'The source accepted the request and did not respond.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: itself,
    command: check,
  },
  SourceStalled: {
    meaning: 'The source stopped sending.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If it lasts, use a mirror, or have --source-stall-seconds raised (chart: settings.sourceStallSeconds).`,
    command: check,
  },
  SourceTooSlow: {
    meaning: 'The source did not send the whole file within the time limit.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Use a mirror that is nearer.',
    command: 'kubectl explain glanceimage.spec.content.http.mirrors',
  },
  SourceTooShort: {
    meaning: 'The source sent fewer bytes than it announced.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy: `${itself} If it lasts, the file at the source is damaged.`,
    command: check,
  },
  SourceTooLong: {
    meaning: 'The source sent more bytes than it announced, or more than the limit.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'If the file is meant to be this large, raise --max-image-size-gib (chart: settings.maxImageSizeGiB). Otherwise fix the URL.',
    command: showResource,
  },
  SourceChanged: {
    meaning: 'The file at the source changed during the download, or a mirror has another file.',
    shownBy: ['Ready'],
    actor: 'operator',
    remedy:
      'Nothing at first: the transfer starts again. If it lasts, fix the mirrors, or use an address of one version of the file.',
    command: check,
  },
  SourceInvalid: {
    meaning: 'The address of the source cannot be used, its response is not valid HTTP, or its redirects form a loop.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Fix the URL that the message names.',
    command: check,
  },
  ConversionNeedsRanges: {
    meaning:
      'The file cannot be converted during the transfer: it is compressed as a whole or in an archive, or its server does not send parts of a file.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Name a qcow2 file that is neither compressed as a whole nor in an archive, on a server that supports range requests, or publish the converted file and leave `content.convert` out.',
    command: 'curl --range 0-0 --head URL',
  },
  EmptySource: {
    meaning: 'The source has no data.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: publisher,
    command: check,
  },
  EgressRefused: {
    meaning: 'The policy of this operator does not allow connections to that address.',
    shownBy: ['Ready'],
    actor: 'installer',
    remedy:
      'Allow the address, for sources with --source-allow (chart: settings.sourceAllow), for clouds with --cloud-allow (chart: settings.cloudAllow); or have another address declared.',
    command: showOperator,
  },

  DigestMismatch: {
    meaning: 'The data of the source does not have the declared digest.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: publisher,
    command: 'curl --location URL | sha256sum',
  },
  CompressionInvalid: {
    meaning: 'The compressed data of the source is damaged, truncated, or of an unsupported kind.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: publisher,
    command: check,
  },
  CompressionBomb: {
    meaning:
      'The decompressed data of the source, or the disk of a converted image, would exceed the limit, or decompressing it needs too much memory, or the file consists of very many parts with next to no data.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Do not use the file, unless its size is intended: then have --max-image-size-gib raised (chart: settings.maxImageSizeGiB). If it needs too much memory, have it compressed with a smaller window; if it has too many parts, as one stream.',
    command: showResource,
  },
  ArchiveInvalid: {
    meaning:
      'The archive at the source is damaged, truncated or encrypted, has links or names that lead outside of it, or could be read in two ways.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy:
      'Have the publisher pack the disk image alone, for example with `tar -caf image.tar.xz disk.raw` or `zip image.zip disk.vhd`.',
    command: check,
  },
  ArchiveMemberNotFound: {
    meaning: 'The archive at the source has no file of the declared name, or several files and none is declared.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Set `content.http.member` to the name of the disk image in the archive, which may have `*`.',
    command: 'tar -tf FILE',
  },
  FormatMismatch: {
    meaning: 'The data is not in the declared disk format, or is damaged.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Set `image.diskFormat` to what the file is; or have the file repaired.',
    command: 'qemu-img info FILE',
  },
  UnsafeImage: {
    meaning:
      'The data could harm the host that uses it: it refers to files outside itself, or is malformed in a way that could be exploited.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Do not use the file. If it is trusted, convert it on a machine of its own.',
    command: 'qemu-img convert -O qcow2 FILE CONVERTED',
  },
  VirtualSizeExceeded: {
    meaning: 'The disk inside the image is larger than this operator allows.',
    shownBy: ['Ready'],
    actor: 'user',
    remedy: 'Use a smaller disk; or have --max-virtual-size-gib raised (chart: settings.maxVirtualSizeGiB).',
    command: 'qemu-img info FILE',
  },
  MinDiskTooSmall: {
    meaning:
      'The disk inside the image does not fit into the declared minDiskGiB. A new image is not uploaded; one that was verified before is kept, with a Warning.',
    shownBy: ['Ready', 'Warning'],
    actor: 'user',
    remedy: 'Set `image.minDiskGiB` to at least the number in the message.',
    command: 'kubectl explain glanceimage.spec.image.minDiskGiB',
  },

  UseUnknown: {
    meaning:
      'Revisions that were replaced are kept, because Nova did not say whether servers use them. The message has its error.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy:
      'Let the credentials list the servers of their project, and check that the catalog has an endpoint of Nova for the configured interface and region. If you know that an image is unused, delete it.',
    command: 'openstack server list --image IMAGE',
  },
  Pinned: {
    meaning: 'The field `revisions.pin` holds a revision whose data is not what `content` declares.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy:
      'Nothing, if that is what you want. Otherwise remove the pin; the operator then makes the revision that `content` declares.',
    command: showResource,
  },
  WeakDigest: {
    meaning: 'The declared digest is md5 or sha1. It detects accidents, but not a file that was changed on purpose.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy: 'Declare a sha256 or sha512 digest, if the publisher has one.',
    command: 'curl --location URL | sha256sum',
  },
  NotDecompressed: {
    meaning: 'The file is compressed or packed by its name, and method WebDownload stores it as it is.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy: 'Use method Upload, or the URL of the decompressed file.',
    command: 'kubectl explain glanceimage.spec.content.method',
  },
  SourceUnusual: {
    meaning: 'The data is verified, but it came in an unusual way: see the message.',
    shownBy: ['Warning'],
    actor: 'user',
    remedy: 'Use the https URL of a server that has the file itself, or have the publisher remove the other data.',
    command: showResource,
  },
} as const satisfies Record<string, ReasonEntry>;
