/**
 * `glance-image-operator draft`: a manifest for a file that a publisher serves.
 *
 * Guarantees: a digest that is written down comes from a list of the publisher next to the file, or from the file itself after
 * `--download`; requests are bounded in number, time and bytes.
 */
import { http } from '../api/sources/http.ts';
import { attempt, OperatorError } from '../lib/errors.ts';
import { publicUrl } from '../lib/public-url.ts';
import { safeUrl } from '../lib/secret.ts';
import { choose } from '../source/checksums/choose.ts';
import { readList } from '../source/checksums/list.ts';
import { isWeak } from '../source/digest.ts';
import { fileAt } from '../source/registry.ts';
import { fetchDocument } from '../source/resolve/fetch.ts';
import { type Expectation, examine, examineHead } from '../transfer/examine.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { isWebAddress, type Settings, setting, UsageError } from './config.ts';
import { type DraftFacts, draftOf, type FoundIndex, type FoundList, fileNameOf } from './drafted.ts';
import { checkSecretName, namespaceName, objectName } from './manifests.ts';
import { pointersIn } from './pointers.ts';
import { showProgress, showWork } from './progress.ts';
import { type CloudAccessOfCommand, cloudSettings, reachClouds } from './reach.ts';

const { osCloud: _, cloudsYaml: __, cacert: ___, ...sourceSettings } = cloudSettings;

const settings = {
  download: {
    schema: setting.switch(),
    help: 'Download the file once, to compute its digest, to find its virtual size and to inspect its format.',
  },
  checksums: {
    schema: setting.url(),
    value: 'URL',
    help: 'List of digests, if it is not next to the file. Default: the one next to the file.',
  },
  indexUrl: {
    schema: setting.url(),
    value: 'URL',
    help: 'Index in JSON, if it is not next to the file. Default: the one next to the file.',
  },
  member: {
    schema: http.shape.member,
    value: 'NAME',
    help: 'The file of an archive that is the image. Default: its only file.',
  },
  name: {
    schema: objectName.optional(),
    value: 'NAME',
    help: 'Name of the resource. Default: derived from the name of the file.',
  },
  namespace: {
    schema: namespaceName.optional(),
    value: 'NAME',
    short: 'n',
    help: 'Namespace in the manifest. Default: none.',
  },
  secret: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of the Secret with the clouds.yaml, for the manifest. Default: openstack.',
  },
  cloud: { schema: setting.text(), value: 'NAME', help: 'Name of the cloud in that Secret. Default: demo.' },
  ...sourceSettings,
} as const satisfies Settings;

export const draftCommand: Command = command({
  name: 'draft',
  summary: 'Write a manifest for a file that a publisher serves',
  operands: 'URL',
  most: 1,
  settings,
  notes:
    'It looks for a list of digests, an index and a signature next to the file, and at the headers and the first bytes of the file. The manifest goes\n' +
    'to standard output. Guesses are comments.',
  isByHand: true,
  run: draft,
});

type Given = CommandLine<typeof settings>['settings'];

async function draft(
  { settings: given, operands: [operand = ''] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { out } = surroundings;
  if (!isWebAddress(operand)) throw new UsageError('give the URL of a file, http:// or https://');
  if (given.checksums !== undefined && given.indexUrl !== undefined)
    throw new UsageError('--checksums and --index-url exclude each other');
  if (given.secret !== undefined) checkSecretName(given.secret);
  // The API server admits no blank in a URL.
  const url = new URL(operand).href;
  await using access = await reachClouds(
    { ...given, osCloud: undefined, cloudsYaml: undefined, cacert: undefined },
    undefined,
    surroundings,
  );
  const found = await lookAt(url, given, access, surroundings);
  const { name, namespace, secret = 'openstack', cloud = 'demo' } = given;
  out.write(draftOf(found, { name, namespace, secret, cloud }));
  return false;
}

async function lookAt(
  url: string,
  given: Given,
  access: CloudAccessOfCommand,
  surroundings: Surroundings,
): Promise<DraftFacts> {
  const { signal, err, clock } = surroundings;
  using work = showWork(err, clock);
  work.update('Reading the first bytes');
  const head = await headOf(url, given.member, access, signal);
  if (head.page !== undefined)
    throw new OperatorError(`${safeUrl(url)} is ${head.page}, not an image: give the URL of the file itself`, {
      code: 'PageReceived',
    });
  if (head.rejection !== undefined) throw head.rejection;
  work.update('Looking for a list of digests');
  const { list, indexed, notes } = await neighbours(url, given, access, surroundings);
  work.stop();
  const downloaded = given.download
    ? await download(url, { diskFormat: head.format, digest: list?.digest, member: given.member }, access, surroundings)
    : undefined;
  const named = given.checksums ?? given.indexUrl;
  const urls = { url: publicUrl(url), given: named === undefined ? undefined : publicUrl(named) };
  return {
    url: urls.url.url,
    given: urls.given?.url,
    size: head.size,
    format: head.format,
    compression: head.compression,
    archive: head.archive,
    member: given.member,
    virtualSize: downloaded?.virtualSize ?? head.virtualSize,
    list,
    indexed,
    downloaded: downloaded && `sha256:${downloaded.sha256}`,
    leftOut: [...new Set([...urls.url.leftOut, ...(urls.given?.leftOut ?? [])])],
    notes,
  };
}

async function headOf(url: string, member: string | undefined, access: CloudAccessOfCommand, signal: AbortSignal) {
  await using resources = new AsyncDisposableStack();
  const source = await access.source(fileAt(url), {}, { hasDigest: true, resources, signal });
  return { size: source.size, ...(await examineHead(source, member)) };
}

async function download(
  url: string,
  declared: Omit<Expectation, 'decompress'>,
  access: CloudAccessOfCommand,
  { signal, err, clock }: Surroundings,
) {
  await using resources = new AsyncDisposableStack();
  const source = await access.source(fileAt(url), {}, { hasDigest: declared.digest !== undefined, resources, signal });
  const display = showProgress(err, clock, true);
  try {
    return await examine(source, { ...declared, decompress: 'Auto' }, display.update);
  } finally {
    display.stop();
  }
}

const maxDocumentBytes = 2 ** 20;
/** Of lists. Those of other files in the same folder come last. */
const mostTried = 40;
const mostDocuments = 10;
/** No document is requested later than that. */
const searchMs = 60_000;

/** The neighbours of a file: the first list that names it with a digest of today, or else an index. */
async function neighbours(
  url: string,
  { checksums, indexUrl }: Pick<Given, 'checksums' | 'indexUrl'>,
  access: CloudAccessOfCommand,
  { signal, clock }: Surroundings,
): Promise<{ list: FoundList | undefined; indexed: FoundIndex | undefined; notes: string[] }> {
  const notes: string[] = [];
  const given = checksums ?? indexUrl;
  const end = clock.monotonic() + searchMs;
  const isLate = () => clock.monotonic() >= end;
  const slow = `The search for a digest ended after ${searchMs / 1000} seconds: if there is a list or an index, name it with --checksums or --index-url`;
  const read = async (at: string): Promise<Uint8Array | undefined> => {
    if (at !== given && isLate()) return undefined;
    const request = {
      url: at,
      maxBytes: maxDocumentBytes,
      declared: {},
      declaredFor: undefined,
      transport: access.transport,
      clock,
      signal,
    };
    const fetched = await attempt(signal, () => fetchDocument(request));
    if (!fetched.ok && at === given) throw fetched.error;
    return fetched.ok && fetched.value.kind === 'document' ? fetched.value.bytes : undefined;
  };
  const name = fileNameOf(url);
  const folder = await read(new URL('./', url).href);
  const named = folder === undefined ? [] : linksIn(Buffer.from(folder).toString('utf8'), url);
  const files = new Set(named);
  const usual = usualNames(name).map((one) => new URL(one, url).href);
  const isListed = (one: string) => named.length === 0 || named.includes(one) || isOfFile(one, name);
  const isOfOther = (one: string) => !isOfFile(one, name) && files.has(one.replace(/\.[^./]+$/, ''));
  const own = named.filter(isList).toSorted((a, b) => Number(isOfOther(a)) - Number(isOfOther(b)));
  const lists = checksums === undefined ? [...new Set([...own, ...usual.filter(isListed)])] : [checksums];
  for (const at of indexUrl === undefined ? lists.slice(0, mostTried) : []) {
    const bytes = await read(at);
    if (bytes === undefined) continue;
    const result = inList(bytes, at, name);
    if (result.kind === 'note') notes.push(result.note);
    if (result.kind === 'found')
      return { list: await signed(result.list, bytes, named, read), indexed: undefined, notes };
  }
  const documents = [
    ...named.filter((one) => one.endsWith('.json')),
    ...indexNames(name).map((one) => new URL(one, url).href),
  ];
  for (const at of indexUrl === undefined ? documents.slice(0, mostDocuments) : [indexUrl]) {
    const bytes = await read(at);
    const indexed = bytes && pointersIn(bytes, at, url);
    if (indexed !== undefined) return { list: undefined, indexed: { ...indexed, url: publicUrl(at).url }, notes };
  }
  return { list: undefined, indexed: undefined, notes: isLate() ? [...notes, slow] : notes };
}

/** By the habits of publishers. */
function usualNames(file: string): string[] {
  const stem = file.replace(/\.[^.]+$/, '');
  const own = [
    '.sha512',
    '.sha256',
    '.SHA512',
    '.SHA256',
    '.sha512sum',
    '.sha256sum',
    '.CHECKSUM',
    '.DIGESTS',
    '.DIGESTS.asc',
    '.SHA256SUM',
    '.checksum',
  ];
  const shared = [
    'SHA512SUMS',
    'SHA256SUMS',
    'sha512sums',
    'sha256sums',
    'CHECKSUM',
    'CHECKSUM.SHA512',
    'CHECKSUM.SHA256',
    'sha256sum.txt',
    'sha512sum.txt',
    'SHA256SUM',
    'SHA512SUM',
    'checksums.txt',
  ];
  return [...own.map((end) => `${file}${end}`), `${stem}.SHA256SUM`, `${stem}-CHECKSUM`, ...shared];
}

function indexNames(file: string): string[] {
  return [`${file.replace(/\.[^.]+$/, '')}.json`, `${file}.json`];
}

const isList = (url: string) =>
  /checksum|sha(?:224|256|384|512)(?:sums?)?|digests/i.test(fileNameOf(url)) && !isSignature(url);
const isOfFile = (url: string, file: string) => fileNameOf(url).startsWith(file);
const isSignature = (url: string) => /\.(?:gpg|sig|sign)$/i.test(url);

/** Of the page of a folder: only files in it. */
function linksIn(page: string, url: string): string[] {
  const folder = new URL('./', url).href;
  const links = [...page.matchAll(/href="([^"?#]+)"/gi)]
    .slice(0, 5000)
    .flatMap(([, href = '']) => URL.parse(href, folder)?.href ?? []);
  return [...new Set(links)].filter(
    (one) => one.startsWith(folder) && !one.slice(folder.length).includes('/') && one !== folder,
  );
}

type InList = { kind: 'absent' } | { kind: 'note'; note: string } | { kind: 'found'; list: FoundList };

function inList(bytes: Uint8Array, at: string, file: string): InList {
  const { url } = publicUrl(at);
  const list = readList(bytes);
  if (!list.ok) return { kind: 'absent' };
  const isOwn = isOfFile(url, file);
  // A digest alone is that of the file whose name the list has.
  if (list.files.length === 0 && !isOwn) return { kind: 'absent' };
  const chosen = choose(list, file);
  if (!chosen.ok) {
    if (chosen.fault.fault === 'absent') return absent(list.files, url, isOwn);
    return { kind: 'note', note: `${url} names ${file}, and its line is not usable (${chosen.fault.fault})` };
  }
  const { digest, dated } = chosen.choice;
  if (digest.algorithm === 'sha224') return { kind: 'absent' };
  if (isWeak(digest.algorithm))
    return { kind: 'note', note: `${url} has only ${digest.algorithm}, with which files can be forged` };
  return { kind: 'found', list: { url, digest: `${digest.algorithm}:${digest.hex}`, dated } };
}

/** A list of its own that names another file may be for a file that also has a dated name. Only a person knows. */
function absent(files: readonly { name: string }[], url: string, isOwn: boolean): InList {
  const [name, ...others] = new Set(files.map((one) => one.name));
  if (!isOwn || name === undefined || others.length > 0) return { kind: 'absent' };
  const note = `${url} names ${name} only: if that is the same file, declare digestFrom with this URL and fileName: ${name}`;
  return { kind: 'note', note };
}

async function signed(
  list: FoundList,
  bytes: Uint8Array,
  named: readonly string[],
  read: (url: string) => Promise<Uint8Array | undefined>,
): Promise<FoundList> {
  if (Buffer.from(bytes).includes('-----BEGIN PGP SIGNED MESSAGE-----')) return { ...list, signature: 'clearsigned' };
  for (const end of ['.gpg', '.asc', '.sign', '.sig']) {
    const at = `${list.url}${end}`;
    if (named.includes(list.url) && !named.includes(at)) continue;
    if ((await read(at)) !== undefined) return { ...list, signature: { url: at } };
  }
  return list;
}
