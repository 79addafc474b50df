/**
 * Asks a publisher: fetches the list or index and its signature, and works out the resolution; or reads the file itself.
 *
 * Guarantees: the list and its signature are fetched together, and again where one of them was replaced between the two requests.
 */
import type { EgressPolicy } from '../../http/egress.ts';
import type { Trust } from '../../http/trust.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { OperatorError, unreachable } from '../../lib/errors.ts';
import { indexBounds } from '../checksums/index-file.ts';
import { listBounds } from '../checksums/list.ts';
import { type DeclaredHeaders, readHeaders } from '../headers.ts';
import type { SourceSecrets } from '../kind.ts';
import { mostKeyBytes } from '../openpgp/packets.ts';
import type { SourceLimits } from '../source.ts';
import { createSourceTransport, type SourceTransport } from '../transport.ts';
import { type Document, evaluate } from './evaluate.ts';
import { type DocumentRequest, type FetchedDocument, fetchDocument } from './fetch.ts';
import { isUnchanged, readFile } from './first-use.ts';
import type { DocumentQuestion, DocumentValidators, Question, Resolution } from './question.ts';

export interface Known {
  resolution: Resolution;
  validators: DocumentValidators;
}

/** A question to a publisher with all that it needs, as data that can be cloned. It contains secrets. */
export interface Asking {
  question: Question;
  /** Of an earlier time, for a conditional request. */
  known: Known | undefined;
  secrets: SourceSecrets;
  /** The only origin that gets the declared headers. */
  declaredFor: string | undefined;
  /** Of a file that is read itself. */
  limits: SourceLimits;
}

export interface AskingContext {
  egress: EgressPolicy;
  trust: Trust;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}

/** Throws an OperatorError, or the signal's reason. */
export async function ask(
  { question, known, secrets: { headers, ca, keys = [] }, declaredFor, limits }: Asking,
  { egress, trust, clock, random, signal }: AskingContext,
): Promise<Known> {
  const transport = createSourceTransport(egress, { trust, ca });
  try {
    const declared = headers === undefined ? {} : readHeaders(headers);
    return await resolve(question, known, { keys, declared, declaredFor, transport, limits, clock, random, signal });
  } finally {
    await transport.close();
  }
}

export interface ResolveContext {
  /** Files of public keys. */
  keys: readonly Uint8Array[];
  declared: DeclaredHeaders;
  declaredFor: string | undefined;
  transport: SourceTransport;
  limits: SourceLimits;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
}

/** `known`: of an earlier call, for a conditional request. Throws an OperatorError, or the signal's reason. */
export async function resolve(question: Question, known: Known | undefined, context: ResolveContext): Promise<Known> {
  const { looksFor } = question;
  switch (looksFor.kind) {
    case 'checksums':
    case 'pointers':
      return readDocument({ ...question, looksFor }, known, context);
    case 'firstUse': {
      const { file } = looksFor;
      if (known !== undefined && (await isUnchanged(file, known.validators, context))) return known;
      const resolution = await readFile(file, context);
      return { resolution, validators: resolution.validators ?? {} };
    }
    default:
      return unreachable(looksFor);
  }
}

async function readDocument(
  question: DocumentQuestion,
  known: Known | undefined,
  context: ResolveContext,
): Promise<Known> {
  const first = await attemptOnce(question, known, context);
  if (!(first instanceof OperatorError)) return first;
  // A publisher replaces two files one after the other.
  if (first.code !== 'SignatureInvalid' || question.signatureURL === undefined) throw first;
  const second = await attemptOnce(question, undefined, context);
  if (second instanceof OperatorError) throw second;
  return second;
}

async function attemptOnce(
  question: DocumentQuestion,
  known: Known | undefined,
  { keys, limits: _, random: __, ...request }: ResolveContext,
): Promise<Known | OperatorError> {
  const maxBytes = question.looksFor.kind === 'pointers' ? indexBounds.bytes : listBounds.bytes;
  const fetched = await fetchDocument({ ...request, url: question.url, maxBytes, validators: known?.validators });
  if (fetched.kind === 'unchanged' && known !== undefined) return known;
  if (fetched.kind === 'unchanged') throw new TypeError('a request without a validator has no response 304');
  const document = { ...fetched, ...(await signatureOf(question, request)) };
  const evaluated = await evaluate(question, document, keys, request.clock.now());
  return evaluated.ok ? { resolution: evaluated.resolution, validators: fetched.validators } : evaluated.error;
}

async function signatureOf(
  { isSigned, signatureURL }: Question,
  request: Omit<DocumentRequest, 'url' | 'maxBytes'>,
): Promise<Pick<Document, 'signature'>> {
  if (!isSigned || signatureURL === undefined) return {};
  let fetched: FetchedDocument;
  try {
    fetched = await fetchDocument({ ...request, url: signatureURL, maxBytes: mostKeyBytes });
  } catch (error) {
    if (error instanceof OperatorError && error.code === 'SourceNotFound') return {};
    throw error;
  }
  return fetched.kind === 'document' ? { signature: fetched.bytes } : {};
}
