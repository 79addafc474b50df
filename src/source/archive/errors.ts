/**
 * The errors of archives.
 *
 * Guarantees: each message has the kind of the archive, its URL without secrets, and what the user can do. Names of files are shown only
 * if the source is public: they are content of this network otherwise.
 */
import { OperatorError } from '../../lib/errors.ts';
import { isLocal, safeUrl } from '../../lib/secret.ts';

export type ArchiveKind = 'tar' | 'zip';

/** The archive to read, for errors and limits. */
export interface ArchiveJob {
  kind: ArchiveKind;
  url: string;
  /** The declared name of the file to take, which may have `*`. Undefined: the archive must have one file only. */
  member: string | undefined;
  /** A larger file is rejected. */
  maxBytes: number;
  /** A sparse file may be so many times as large as its data in the archive. */
  maxRatio: number;
  /** Whether all bytes so far came from public addresses. */
  isPublic: () => boolean;
}

export class ArchiveError extends OperatorError {
  declare readonly code: 'ArchiveInvalid' | 'ArchiveCutOff' | 'ArchiveMemberNotFound';
}

const longestName = 100;

/** `why` ends the sentence "the tar archive …". */
export function rejectedArchive(job: ArchiveJob, why: string, advice = 'have it packed again'): ArchiveError {
  return new ArchiveError(`${archiveOf(job)} ${why}: ${advice}`, { code: 'ArchiveInvalid' });
}

/** Near that byte of the archive, after its decompression. */
export function damagedArchive(job: ArchiveJob, why: string, at: number): ArchiveError {
  return rejectedArchive(job, `is damaged near byte ${at}, as it ${why}`);
}

/** The server may have a problem, or an upload of the file may be running. */
export function cutOffArchive(job: ArchiveJob, bytes: number): ArchiveError {
  const message = `${archiveOf(job)} is cut off after ${bytes} bytes: ${isLocal(job.url) ? 'get the file again' : 'have the publisher complete the file'}`;
  return new ArchiveError(message, { code: 'ArchiveCutOff' });
}

/** Another declaration helps. */
export function noMember(job: ArchiveJob, why: string, advice: string): ArchiveError {
  return new ArchiveError(`${archiveOf(job)} ${why}: ${advice}`, { code: 'ArchiveMemberNotFound' });
}

/** A member is declared, and the file is no archive. */
export function noArchive(url: string, member: string): ArchiveError {
  return new ArchiveError(
    `${safeUrl(url)} is neither a tar nor a zip archive, so it has no file ${quoted(member)}: remove member, or declare the archive itself`,
    { code: 'ArchiveMemberNotFound' },
  );
}

/** The name of a file in the archive, for messages. */
export function shownName({ isPublic }: ArchiveJob, name: string): string {
  return isPublic() ? quoted(name) : '(names are shown for public addresses only)';
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, longestName));
}

function archiveOf({ kind, url }: ArchiveJob): string {
  return `the ${kind} archive ${safeUrl(url)}`;
}
