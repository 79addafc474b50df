/**
 * Asks a publisher: fetches the list or index and its signature, and works out the resolution.
 *
 * Guarantees: the list and its signature are fetched together, and again where one of them was replaced between the two requests.
 */
import type { Clock } from '../../lib/clock.ts';
import { OperatorError } from '../../lib/errors.ts';
import { indexBounds } from '../checksums/index-file.ts';
import { listBounds } from '../checksums/list.ts';
import type { DeclaredHeaders } from '../headers.ts';
import { mostKeyBytes } from '../openpgp/packets.ts';
import type { SourceTransport } from '../transport.ts';
import { type Document, evaluate } from './evaluate.ts';
import { type DocumentRequest, type FetchedDocument, fetchDocument } from './fetch.ts';
import type { DocumentValidators, Question, Resolution } from './question.ts';

export interface Known {
  resolution: Resolution;
  validators: DocumentValidators;
}

export interface ResolveContext {
  /** Files of public keys. */
  keys: readonly Uint8Array[];
  declared: DeclaredHeaders;
  declaredFor: string | undefined;
  transport: SourceTransport;
  clock: Clock;
  signal: AbortSignal;
}

/** `known`: of an earlier call, for a conditional request. Throws an OperatorError, or the signal's reason. */
export async function resolve(question: Question, known: Known | undefined, context: ResolveContext): Promise<Known> {
  const first = await attemptOnce(question, known, context);
  if (!(first instanceof OperatorError)) return first;
  // A publisher replaces two files one after the other.
  if (first.code !== 'SignatureInvalid' || question.signatureURL === undefined) throw first;
  const second = await attemptOnce(question, undefined, context);
  if (second instanceof OperatorError) throw second;
  return second;
}

async function attemptOnce(
  question: Question,
  known: Known | undefined,
  { keys, ...request }: ResolveContext,
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
