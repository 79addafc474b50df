/**
 * Observe: the status shows an image that something else manages.
 *
 * Invariants: nothing here can write to Glance, because the part of a cloud that it gets only reads. An image counts as vanished only
 * after it was asked for by its ID. `status.imageID` names an active image, or nothing.
 */
import type { ImportFilter, ImportSpec } from '../../api/import.ts';
import type { ImageClient } from '../../glance/client/index.ts';
import type { Image } from '../../glance/image.ts';
import type { ImageCache } from '../../glance/image-cache.ts';
import type { ErrorCode } from '../../lib/error-codes.ts';
import { OperatorError } from '../../lib/errors.ts';
import type { Memory } from '../model/memory.ts';
import type { End, Report } from '../model/report.ts';
import { pick, searchedOwner } from '../observe/import-filter.ts';
import { find } from '../observe/observe.ts';
import type { Turn } from './pass.ts';

/** What Observe gets of a cloud. */
export interface ReadableCloud {
  images: Pick<ImageClient, 'get' | 'list'>;
  observed: Pick<ImageCache, 'get'>;
  projectID: string;
}

export type Mirrored =
  | { kind: 'seen'; report: Report }
  /** A list is being read: look again after this time. */
  | { kind: 'refreshing'; ms: number };

type Found =
  | { kind: 'image'; image: Image }
  | { kind: 'refreshing' }
  | { kind: 'failed'; code: ErrorCode; message: string };

/** A list is being read; those who need it look again after this time. */
const listPollMs = 2_000;
/** How often to look at an image whose data another client brings. */
const dataPollMs = 30_000;

/** `memory` names the image that was shown last. */
export async function mirror(
  imported: ImportSpec,
  memory: Memory,
  cloud: ReadableCloud,
  turn: Turn,
  signal: AbortSignal,
): Promise<Mirrored> {
  const { id, filter = {}, select } = imported;
  const found =
    id === undefined
      ? await byFilter(filter, select, memory, cloud, signal)
      : await byID(id, memory, cloud, turn, signal);
  switch (found.kind) {
    case 'refreshing':
      return { kind: 'refreshing', ms: listPollMs };
    case 'image':
      return { kind: 'seen', report: reportOf(found.image, endOf(found.image), memory) };
    case 'failed':
      return { kind: 'seen', report: reportOf(undefined, failure(found.code, found.message), memory) };
  }
}

async function byID(
  id: string,
  { observed: before }: Memory,
  { images, observed }: ReadableCloud,
  turn: Turn,
  signal: AbortSignal,
): Promise<Found> {
  const known = turn.kind === 'fromCache' ? observed.get(id, turn.sinceMs) : undefined;
  if (known?.kind === 'refreshing') return { kind: 'refreshing' };
  const image = known?.kind === 'seen' ? known.image : await find(images, id, signal);
  if (image !== undefined) return { kind: 'image', image };
  if (before === id) return vanished(id);
  const message = `Glance knows no image ${id} that these credentials can read`;
  return { kind: 'failed', code: 'ImportNotFound', message };
}

async function byFilter(
  filter: ImportFilter,
  select: ImportSpec['select'],
  { observed: before }: Memory,
  { images, projectID }: ReadableCloud,
  signal: AbortSignal,
): Promise<Found> {
  const picked = await pick(filter, select, projectID, images, signal);
  switch (picked.kind) {
    case 'one':
      return { kind: 'image', image: picked.image };
    case 'several':
      return { kind: 'failed', code: 'ImportAmbiguous', message: ambiguous(picked) };
    case 'none': {
      const where = inWords(filter, projectID);
      const message = `no image matches import.filter ${where}`;
      if (before === undefined) return { kind: 'failed', code: 'ImportNotFound', message };
      const image = await find(images, before, signal);
      if (image === undefined) return vanished(before, `; ${message}`);
      const other = `${message}: image ${before} was shown before, and does not match`;
      return { kind: 'failed', code: 'ImportNotFound', message: other };
    }
  }
}

function vanished(id: string, more = ''): Found {
  const message = `image ${id} does not exist in Glance any more, or these credentials cannot read it any more${more}`;
  return { kind: 'failed', code: 'ImportVanished', message };
}

const mostNamed = 16;

function ambiguous({ ids, isCut }: { ids: readonly string[]; isCut: boolean }): string {
  const named = ids.slice(0, mostNamed).join(', ');
  const isMore = isCut || ids.length > mostNamed;
  const count = isCut ? `at least ${ids.length}` : String(ids.length);
  return `${count} images match import.filter: ${named}${isMore ? ' and others' : ''}`;
}

function inWords(filter: ImportFilter, projectID: string): string {
  const { owner: _, ...rest } = filter;
  const owner = searchedOwner(filter, projectID);
  return `${JSON.stringify(rest)} in ${owner === undefined ? 'any project' : `project ${owner}`}`;
}

function endOf(image: Image): End {
  switch (image.status) {
    case 'active':
      return { kind: 'converged' };
    case 'deactivated':
      return failure('Deactivated', `image ${image.id} was deactivated by an administrator of the cloud`);
    default: {
      const why = `it is ${image.status} in Glance, and not active`;
      return { kind: 'waiting', phase: 'Waiting', imageID: image.id, why, ms: dataPollMs };
    }
  }
}

function failure(code: ErrorCode, message: string): End {
  return { kind: 'failed', error: new OperatorError(message, { code }) };
}

function reportOf(image: Image | undefined, end: End, memory: Memory): Report {
  const { promoted: _, ...rest } = memory;
  const shown = image === undefined ? [] : [{ number: 0, image, ownership: { kind: 'observed' as const } }];
  return {
    end,
    memory: {
      ...rest,
      ...(image === undefined ? {} : { observed: image.id }),
      ...(image === undefined || end.kind !== 'converged' ? {} : { promoted: image.id }),
    },
    observed: { revisions: shown, listed: false },
    changes: [],
  };
}
