/**
 * What the end of a reconcile means for the file of a publisher that it worked on: it is in use, it counts as failed, or its list is
 * read again.
 */
import type { OperatorError } from '../../lib/errors.ts';
import { withCandidate } from '../model/memory.ts';
import type { Report } from '../model/report.ts';
import { isMismatch, isPassing, type PinnedSource } from '../publishers/candidates.ts';
import { isOfFirstUse, ofFirstUse, type Pinning } from '../publishers/resolution.ts';
import { pinningAfter } from '../status/updating.ts';
import type { Pass, ReconcileContext } from './pass.ts';

/**
 * A file that differs from its list may be newer than the list, so that is read again before the failure counts. When a candidate
 * fails, its image waits for the next attempt if the cause may pass; otherwise the image that is pinned goes on without it.
 */
export function afterFile(pass: Pass, report: Report, { following: { candidates } }: ReconcileContext): Report {
  const { key } = pass;
  const { end, memory } = report;
  const pinning = pinningAfter(pass.pinning, memory);
  if (pinning.kind !== 'pinned' && pinning.kind !== 'candidate') return report;
  const { digest } = pinning.source;
  if (end.kind === 'converged') {
    candidates.settle(key, digest);
    return { ...report, memory: withCandidate(memory, undefined) };
  }
  if (end.kind !== 'failed') return report;
  if (pinning.kind === 'candidate') {
    if (isPassing(end.error)) return report;
    candidates.reject(key, digest, end.error);
    return { ...report, end: { kind: 'held', error: end.error } };
  }
  if (!isMismatch(end.error) && !isOfUnreadList(pass, pinning, end.error)) return report;
  if (isOfFirstUse(pinning)) return { ...report, end: { kind: 'failed', error: ofFirstUse(end.error, digest) } };
  if (pinning.resource.status.imageID !== undefined) return report;
  const isRead = candidates.get(key)?.digest === digest && pinning.isRereading !== true;
  if (isRead) return report;
  if (pinning.isRereading !== true) candidates.reject(key, digest, end.error);
  return { ...report, end: { kind: 'resolving', url: pinning.url } };
}

/** After a lost status, and no image is left that has the digest: where its file is, and whether there is one still, is not known. */
function isOfUnreadList(
  { news, transfer }: Pass,
  { kind, source }: Pinning & { source: PinnedSource },
  error: OperatorError,
): boolean {
  if (kind !== 'pinned' || source.url !== undefined || isPassing(error)) return false;
  return news.kind === 'failed' && news.error === error && transfer?.plan.method !== 'Verify';
}
