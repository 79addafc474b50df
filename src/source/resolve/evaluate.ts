/**
 * The resolution of a question, from the bytes of a list or an index.
 *
 * Guarantees: depends on nothing but its arguments; with `isSigned`, no byte counts that a trusted key has not signed; a digest with
 * which files can be forged is never a result.
 */
import { OperatorError } from '../../lib/errors.ts';
import { safeUrl } from '../../lib/secret.ts';
import { percentDecoded, printable } from '../../lib/text.ts';
import { choose, type ListChoice } from '../checksums/choose.ts';
import { explainFault } from '../checksums/explain.ts';
import { findInIndex } from '../checksums/index-file.ts';
import { readList, signedTextOf } from '../checksums/list.ts';
import { compareVersions, isPattern, skeletonOf } from '../checksums/names.ts';
import { digestOf, formatDigest, isWeak } from '../digest.ts';
import { readKeyring, type Signer } from '../openpgp/keyring.ts';
import { type SignatureVerdict, verifyClearsigned, verifyDetached } from '../openpgp/verify.ts';
import type { DocumentQuestion, InDocument, Resolution } from './question.ts';

export interface Document {
  bytes: Uint8Array;
  /** Of `signatureURL`; undefined if there is no such file. */
  signature?: Uint8Array | undefined;
  /** All of it came from public addresses. Messages quote nothing else. */
  isPublic: boolean;
}

export type Evaluation = { ok: true; resolution: Resolution } | { ok: false; error: OperatorError };

/** `keys`: files of public keys. */
export async function evaluate(
  question: DocumentQuestion,
  document: Document,
  keys: readonly Uint8Array[],
  now: Date,
): Promise<Evaluation> {
  const signed = await authenticated(question, document, keys, now);
  if (!signed.ok) return signed;
  const { bytes, signature } = signed;
  const { looksFor } = question;
  const found =
    looksFor.kind === 'checksums'
      ? inList(question.url, looksFor, bytes, document.isPublic)
      : inIndex(question.url, looksFor.layout, bytes, document.isPublic);
  if (!found.ok) return found;
  const excess = whyNotKept(found.resolution);
  if (excess !== undefined) return failed('DigestNotFound', `${safeUrl(question.url)} has ${excess}`);
  const { version, ...file } = found.resolution;
  return { ok: true, resolution: { ...file, ...shownVersion(version), ...signature } };
}

/** As the status has it. A version that the status kept as another text would differ in each reconcile. */
function shownVersion(version: string = ''): Pick<Resolution, 'version'> {
  const shown = printable(version, longestVersion);
  return shown === '' ? {} : { version: shown };
}

/** The status keeps both, and a part of a URL is another one. */
function whyNotKept({ url, version = '' }: Resolution): string | undefined {
  if (url.length > longestURL) return `a file whose URL has more than ${longestURL} characters, which is the limit`;
  return version.length > longestVersion
    ? `a version of more than ${longestVersion} characters, which is the limit`
    : undefined;
}

const [longestURL, longestVersion] = [2048, 255] as const;

type Signature = Pick<Resolution, 'signedBy' | 'signedAt'>;
type Failed = Extract<Evaluation, { ok: false }>;

/** The bytes that count. */
async function authenticated(
  { url, signatureURL, isSigned }: DocumentQuestion,
  { bytes, signature }: Document,
  keys: readonly Uint8Array[],
  now: Date,
): Promise<{ ok: true; bytes: Uint8Array; signature: Signature } | Failed> {
  if (!isSigned) return { ok: true, bytes, signature: {} };
  const signers = await trusted(keys, now);
  if (signers === undefined)
    return failed(
      'SignerNotAllowed',
      'content.verify.openPGP.keysFrom has no value, or one that cannot be used: each must be public keys as `gpg --armor --export-options export-minimal --export` writes them, without a private key and other data',
    );
  const judge = (verdict: SignatureVerdict, counted: Uint8Array, where: string) =>
    verdict.kind === 'good'
      ? {
          ok: true as const,
          bytes: counted,
          signature: { signedBy: verdict.signedBy, signedAt: verdict.signedAt.toISOString().replace(/\.\d+Z$/, 'Z') },
        }
      : failed(verdict.fault, `the signature ${where} ${verdict.why}`);
  if (signatureURL !== undefined) {
    if (signature === undefined)
      return failed('SignatureMissing', `${safeUrl(url)} has no signature at ${safeUrl(signatureURL)}`);
    return judge(await verifyDetached(bytes, signature, signers, now), bytes, `at ${safeUrl(signatureURL)}`);
  }
  const text = signedTextOf(bytes);
  if (text.kind === 'broken')
    return failed('SignatureInvalid', `${safeUrl(url)} is a clearsigned text that cannot be read: ${text.why}`);
  if (text.kind === 'plain')
    return failed(
      'SignatureMissing',
      `${safeUrl(url)} is not a clearsigned text in UTF-8: declare content.verify.openPGP.signatureURL if its signature is a file of its own`,
    );
  return judge(await verifyClearsigned(text.blocks, signers, now), text.covered, `in ${safeUrl(url)}`);
}

async function trusted(keys: readonly Uint8Array[], now: Date): Promise<Signer[] | undefined> {
  const read = await Promise.all(keys.map((file) => readKeyring(file, now)));
  return read.length === 0 || read.includes(undefined) ? undefined : read.flatMap((signers) => signers ?? []);
}

function inList(
  url: string,
  { file, name }: Extract<InDocument, { kind: 'checksums' }>,
  bytes: Uint8Array,
  isPublic: boolean,
): Evaluation {
  const wanted = name ?? lastPartOf(file);
  const rejected = (why: string) => failed('DigestNotFound', `the list ${safeUrl(url)} ${why}`);
  const list = readList(bytes);
  if (!list.ok) return rejected(explainFault(list, wanted, isPublic));
  const chosen = choose(list, wanted);
  if (!chosen.ok) return rejected(explainFault(chosen.fault, wanted, isPublic));
  const { algorithm, hex } = chosen.choice.digest;
  const digest = digestOf(algorithm, hex);
  if (digest === undefined || isWeak(digest.algorithm))
    return rejected(
      `has only the ${algorithm} digest of ${JSON.stringify(wanted)}, which does not prove who made the file: ` +
        'name a list with sha256 or sha512',
    );
  const fetched = urlToFetch(file, name, chosen.choice);
  if (fetched === undefined)
    return rejected('has digests without names: name the file itself, and not its folder, in the URL of the source');
  const { version } = chosen.choice;
  return { ok: true, resolution: { url: fetched, digest: formatDigest(digest), ...(version && { version }) } };
}

/** Where the chosen file is. A name of a list replaces the last part of the declared URL. */
function urlToFetch(file: string, name: string | undefined, choice: ListChoice): string | undefined {
  const isFolder = lastPartOf(file) === '';
  const listed = choice.dated ?? (isFolder || (name !== undefined && isPattern(name)) ? choice.name : undefined);
  if (listed === undefined) return isFolder ? undefined : file;
  const url = new URL(file);
  const folder = url.pathname.slice(0, url.pathname.lastIndexOf('/') + 1);
  url.pathname = folder + encodeURIComponent(listed.slice(listed.lastIndexOf('/') + 1));
  return url.href;
}

/** The file name in a URL. */
export function lastPartOf(url: string): string {
  return percentDecoded(URL.parse(url)?.pathname.split('/').at(-1) ?? '');
}

function inIndex(
  url: string,
  layout: Extract<InDocument, { kind: 'pointers' }>['layout'],
  bytes: Uint8Array,
  isPublic: boolean,
): Evaluation {
  const found = findInIndex(bytes, layout, isPublic);
  if (!found.ok) return failed('DigestNotFound', `the index ${safeUrl(url)} ${found.why}`);
  const { file } = found;
  const version = file.version === undefined ? {} : { version: file.version };
  return { ok: true, resolution: { url: file.url, digest: formatDigest(file.digest), ...version } };
}

/**
 * Why a resolution does not replace the accepted one. A server that was broken into, or an old mirror, could bring back an image with
 * known holes.
 */
export function whyOlder(url: string, resolution: Resolution, accepted: Resolution): OperatorError | undefined {
  const older = (what: string, now: string, before: string) =>
    new OperatorError(
      `${safeUrl(url)} is older than what was accepted before (${what} ${now}, before ${before}): an old mirror, or an attempt to bring back an old image`,
      { code: 'ListOutdated' },
    );
  const { signedAt, version } = resolution;
  if (accepted.signedAt !== undefined && signedAt !== undefined && Date.parse(signedAt) < Date.parse(accepted.signedAt))
    return older('signed at', signedAt, accepted.signedAt);
  if (
    version !== undefined &&
    accepted.version !== undefined &&
    skeletonOf(version) === skeletonOf(accepted.version) &&
    compareVersions(version, accepted.version) < 0
  )
    return older('version', version, accepted.version);
  return undefined;
}

function failed(code: ConstructorParameters<typeof OperatorError>[1]['code'], message: string): Failed {
  return { ok: false, error: new OperatorError(message, { code }) };
}
