/**
 * A question to a publisher: the list or index to read, and the file to look for in it; and its resolution.
 *
 * Invariant: plain JSON without secrets; equal questions have the same resolution.
 */
import type { IndexLayout } from '../checksums/index-file.ts';

export interface Question {
  /** The list of digests, or the index; or the file itself. */
  url: string;
  /** Where the signature of `url` is, if it is a file of its own. */
  signatureURL?: string | undefined;
  /** Whether it must be signed by a key of `keys`. */
  isSigned: boolean;
  looksFor: InDocument | InFile;
}

/** `file`: the declared URL of the file; one that ends with a slash is a folder. `name`: a name in the list, or a pattern. */
export type InDocument =
  | { kind: 'checksums'; file: string; name: string | undefined }
  | { kind: 'pointers'; layout: IndexLayout };

/** The digest is that of the file as it is served now. */
export interface InFile {
  kind: 'firstUse';
  file: string;
}

export type DocumentQuestion = Question & { looksFor: InDocument };

export interface Resolution {
  /** Of the file. It does not move where the publisher has such a URL. */
  url: string;
  /** `<algorithm>:<hex>`, of the file as served. */
  digest: string;
  version?: string | undefined;
  /** Fingerprint of the key that signed the list. */
  signedBy?: string | undefined;
  /** RFC 3339, by the clock of the signer. */
  signedAt?: string | undefined;
  /** Of the file itself, where that was read, so that it is read again only if it has changed. */
  validators?: DocumentValidators | undefined;
}

/** For requests whose response has a body only if the document has changed. */
export interface DocumentValidators {
  etag?: string | undefined;
  lastModified?: string | undefined;
}
