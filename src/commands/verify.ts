/**
 * `glance-image-operator verify`: what the operator would make of a file, a URL or an image in Glance.
 *
 * Invariant: nothing is written. The bytes are read once as in a transfer; before that, the head of a file whose format is not given.
 */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { pathToFileURL } from 'node:url';
import { http } from '../api/sources/http.ts';
import { formatBytes } from '../lib/bytes.ts';
import { describe, describeFileError, OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import { parseDigest, weaknessOf } from '../source/digest.ts';
import type { OpenedSource } from '../source/kind.ts';
import { fileAt, imageItself } from '../source/registry.ts';
import type { Resolution } from '../source/resolve/question.ts';
import { resolve } from '../source/resolve/resolve.ts';
import { type Examined, examine, examineHead } from '../transfer/examine.ts';
import { defaultLimits } from '../transfer/plan.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { isWebAddress, type Settings, setting, UsageError } from './config.ts';
import { readFileOf, statFile } from './input.ts';
import { outputSettings, type Paint, painter, print, shown } from './output.ts';
import { showProgress } from './progress.ts';
import { type CloudAccessOfCommand, cloudSettings, localCloud, reachClouds } from './reach.ts';

const settings = {
  format: {
    schema: setting.text(),
    value: 'FORMAT',
    help: "The declared disk format, by Glance's name. Default: that of the image in Glance, or the one that the first bytes show.",
  },
  digest: {
    schema: setting.text(),
    value: 'DIGEST',
    help: 'The declared digest, as sha256:<hexadecimal> or of another algorithm.',
  },
  checksums: {
    schema: setting.url(),
    value: 'URL',
    help: 'List of digests of the publisher, instead of --digest. It must name the file.',
  },
  keys: {
    schema: setting.text(),
    value: 'FILE',
    help: 'OpenPGP keys, one of which must have signed the list.',
  },
  signature: {
    schema: setting.url(),
    value: 'URL',
    help: 'Signature of the list, if it is a separate file.',
  },
  member: {
    schema: http.shape.member,
    value: 'NAME',
    help: 'The file of an archive that is the image. Default: its only file.',
  },
  ...cloudSettings,
  ...outputSettings,
} as const satisfies Settings;

type Given = CommandLine<typeof settings>['settings'];

export const verifyCommand: Command = command({
  name: 'verify',
  summary: 'Check a file, a URL or an image in Glance as the operator would',
  operands: 'FILE|URL|IMAGE-ID',
  most: 1,
  settings,
  notes:
    'An image is read back from the cloud of --os-cloud. A file is decompressed and unpacked as during a transfer.',
  found: 'the data would be rejected',
  isByHand: true,
  run: verify,
});

type Target = { kind: 'file'; path: string } | { kind: 'url'; url: string } | { kind: 'image'; id: string };

const uuid = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

function targetOf(operand: string | undefined): Target {
  if (operand === undefined) throw new UsageError('give a FILE, a URL or the ID of an image');
  if (uuid.test(operand)) return { kind: 'image', id: operand.toLowerCase() };
  if (isWebAddress(operand)) return { kind: 'url', url: operand };
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(operand))
    throw new UsageError(`cannot read ${operand}: a URL has http:// or https:// and a host, and a file has a path`);
  return { kind: 'file', path: operand };
}

/** Codes of failures of the data itself. */
const faults: ReadonlySet<string> = new Set([
  'DigestMismatch',
  'FormatMismatch',
  'UnsafeImage',
  'EmptySource',
  'PageReceived',
  'VirtualSizeExceeded',
  'CompressionInvalid',
  'CompressionCutOff',
  'CompressionBomb',
  'ArchiveInvalid',
  'ArchiveCutOff',
  'ArchiveMemberNotFound',
  'SignatureInvalid',
  'SignatureMissing',
  'SignerNotAllowed',
  'WeakHash',
]);

interface Verdict {
  target: string;
  isAccepted: boolean;
  reason?: string;
  message?: string;
  diskFormat?: string;
  /** No flag declares the format: it is that of the first bytes. */
  formatIsAssumed?: true;
  digest?: string;
  signedBy?: string;
  file?: Partial<Examined>;
}

async function verify(
  { settings: given, operands: [operand] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const target = targetOf(operand);
  if (target.kind === 'image' && given.osCloud === undefined)
    throw new UsageError(`an image of Glance needs --os-cloud; a file of that name is ./${target.id}`);
  const { digest } = given;
  if (digest !== undefined && given.checksums !== undefined)
    throw new UsageError('--digest and --checksums exclude each other');
  if (digest !== undefined) checkDigest(digest);
  if ((given.keys !== undefined || given.signature !== undefined) && given.checksums === undefined)
    throw new UsageError('--checksums is missing: it names the list that is signed');
  await using access = await reachClouds(given, undefined, surroundings);
  const verdict = await judge(target, given, access, surroundings);
  print(given.output, verdict, () => text(verdict, painter(surroundings)), surroundings);
  return !verdict.isAccepted;
}

function checkDigest(digest: string): void {
  try {
    parseDigest(digest);
  } catch (error) {
    throw new UsageError(`--digest: ${describe(error)}`);
  }
}

async function judge(
  target: Target,
  given: Given,
  access: CloudAccessOfCommand,
  surroundings: Surroundings,
): Promise<Verdict> {
  const { signal, err, clock } = surroundings;
  const name = target.kind === 'url' ? safeUrl(target.url) : target.kind === 'file' ? target.path : target.id;
  let known: Omit<Verdict, 'isAccepted'> = { target: name };
  try {
    const listed =
      given.checksums === undefined ? undefined : await fromList(given.checksums, target, given, access, surroundings);
    const digest = given.digest ?? listed?.digest;
    known = {
      ...known,
      ...(digest === undefined ? {} : { digest }),
      ...(listed?.signedBy === undefined ? {} : { signedBy: listed.signedBy }),
    };
    const { format, isAssumed, ...opened } = await formatOf(target, given, access, signal);
    const diskFormat = given.format ?? format;
    known = { ...known, diskFormat, ...(isAssumed === true ? { formatIsAssumed: isAssumed } : {}) };
    await using resources = new AsyncDisposableStack();
    const source = await open(target, digest !== undefined, given, access, resources, signal);
    const display = showProgress(err, clock, true);
    try {
      const decompress = target.kind === 'image' || opened.isOva ? ('None' as const) : ('Auto' as const);
      const member = given.member;
      const file = await examine(source, { diskFormat, digest, decompress, member }, display.update);
      const weakness = digest === undefined ? undefined : weaknessOf(parseDigest(digest).algorithm);
      const warnings = [...file.warnings, ...(weakness === undefined ? [] : [weakness])];
      return { ...known, isAccepted: true, file: { ...file, warnings } };
    } finally {
      display.stop();
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof OperatorError) || !faults.has(error.code)) throw error;
    return { ...known, isAccepted: false, reason: error.code, message: error.message };
  }
}

async function formatOf(
  target: Target,
  given: Given,
  access: CloudAccessOfCommand,
  signal: AbortSignal,
): Promise<{ format: string; isOva: boolean; isAssumed?: true }> {
  if (target.kind === 'image') {
    const { images } = await access.open(localCloud(given, 'an image of Glance'), signal);
    const { diskFormat, containerFormat } = await images.get(target.id, signal);
    return { format: diskFormat ?? 'raw', isOva: containerFormat === 'ova' };
  }
  if (given.format !== undefined) return { format: given.format, isOva: false };
  await using resources = new AsyncDisposableStack();
  const head = await examineHead(await open(target, true, given, access, resources, signal), given.member);
  return { format: head.format, isOva: false, isAssumed: true };
}

async function open(
  target: Target,
  hasDigest: boolean,
  given: Given,
  access: CloudAccessOfCommand,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<OpenedSource> {
  switch (target.kind) {
    case 'file':
      return openFile(target.path, resources);
    case 'url':
      return access.source(fileAt(target.url), {}, { hasDigest, resources, signal });
    case 'image': {
      const { secretRef, name } = localCloud(given, 'an image of Glance');
      const plan = imageItself(target.id, { secretRef, name });
      return access.source(plan, { cloud: await access.localFiles() }, { hasDigest, resources, signal });
    }
  }
}

async function openFile(path: string, resources: AsyncDisposableStack): Promise<OpenedSource> {
  try {
    const found = await statFile(path);
    const body = createReadStream(path, { highWaterMark: 2 ** 20 });
    resources.defer(() => void body.destroy());
    return { url: pathToFileURL(path).href, size: found.size, endIsCertain: true, isPublic: true, body };
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describeFileError(error)}`);
  }
}

async function fromList(
  list: string,
  target: Target,
  { keys, signature }: Given,
  access: CloudAccessOfCommand,
  { signal, clock }: Surroundings,
): Promise<Resolution> {
  if (target.kind === 'image') throw new UsageError('--checksums lists files, and no images of Glance');
  // The list has the name of the file, wherever it is now.
  const file = target.kind === 'url' ? target.url : new URL(encodeURIComponent(basename(target.path)), list).href;
  const question = {
    url: list,
    signatureURL: signature,
    isSigned: keys !== undefined,
    looksFor: { kind: 'checksums' as const, file, name: undefined },
  };
  const files = keys === undefined ? [] : [await readFileOf(keys, signal)];
  const context = {
    keys: files,
    declared: {},
    declaredFor: undefined,
    transport: access.transport,
    limits: defaultLimits,
    clock,
    random: Math.random,
    signal,
  };
  return (await resolve(question, undefined, context)).resolution;
}

function text(
  { target, isAccepted, reason, message = '', diskFormat, formatIsAssumed, digest, signedBy, file }: Verdict,
  paint: Paint,
): string {
  const rows = [
    ['file', target],
    [formatIsAssumed === true ? 'assumed format' : 'declared format', diskFormat],
    ['declared digest', digest],
    ['signed by', signedBy],
    ['found format', file?.format],
    ['size', bytesOf(file?.size)],
    ['packed with', file?.compression],
    ['file of the archive', file?.member],
    ['size of the image', file?.imageSize === file?.size ? undefined : bytesOf(file?.imageSize)],
    ['virtual size', bytesOf(file?.virtualSize)],
    ['sha256', file?.sha256],
    ['sha512', file?.sha512],
    ...(file?.warnings ?? []).map((warning) => ['note', warning]),
  ];
  const known = rows.flatMap(([name = '', value]) =>
    value === undefined ? [] : [`${`${name}:`.padEnd(21)}${shown(value)}\n`],
  );
  const verdict = isAccepted
    ? paint(
        'green',
        digest === undefined ? 'The operator would accept it. No digest is declared.' : 'The operator would accept it.',
      )
    : `${paint('red', `The operator would reject it: ${reason}`)}\n  ${shown(message)}`;
  return `${known.join('')}${verdict}\n`;
}

function bytesOf(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  return bytes < 1024 ? `${bytes} bytes` : `${bytes} bytes (${formatBytes(bytes)})`;
}
