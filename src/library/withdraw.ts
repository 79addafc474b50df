/**
 * The end of a creation that has failed.
 *
 * Guarantee: only the image of this creation is removed, and only with no data or with that of this creation.
 */
import type { ImageClient } from '../glance/client/index.ts';
import { Conflict, GlanceConnectionFailed, GlanceUnavailable } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';

/** How far an upload is. */
export interface Sending {
  readonly state: 'not begun' | 'begun' | 'complete' | 'confirmed';
  /** So far. */
  readonly bytes: number;
  through(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Whether the data itself threw this error, which then says nothing about Glance. */
  hasThrown(error: unknown): boolean;
  /** Glance has responded that it has the data. */
  confirm(): void;
}

export function startSending(): Sending {
  let state: Sending['state'] = 'not begun';
  let bytes = 0;
  let thrown: { error: unknown } | undefined;
  return {
    get state() {
      return state;
    },
    get bytes() {
      return bytes;
    },
    through: (body) => ({
      [Symbol.asyncIterator]() {
        const pieces = body[Symbol.asyncIterator]();
        return {
          async next() {
            const step = await pieces.next().catch((error: unknown) => {
              thrown = { error };
              throw error;
            });
            state = step.done === true ? 'complete' : 'begun';
            if (step.done !== true) bytes += step.value.byteLength;
            return step;
          },
          // A generator that waits for its next piece would end the data only after that.
          async return() {
            await pieces.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    }),
    hasThrown: (error) => thrown !== undefined && thrown.error === error,
    confirm() {
      state = 'confirmed';
    },
  };
}

export interface FailedCreation {
  failure: unknown;
  /** No other client knows the id. */
  isNew: boolean;
  /** Absent: nothing was to be sent. */
  sending?: Sending;
}

/** Removes an image whose creation has failed, because its id is often unknown to the caller; not one that another client fills. */
export async function withdraw(
  client: Pick<ImageClient, 'get' | 'patch' | 'remove'>,
  id: string,
  failed: FailedCreation,
  signal: AbortSignal,
): Promise<void> {
  const image = await client.get(id, signal);
  if (!isOwn(image, failed)) return;
  if (image.protected) await client.patch(id, [{ op: 'replace', path: '/protected', value: false }], signal);
  await client.remove(id, signal);
}

/** Whether no other client can have filled the image. */
function isOwn({ status, size }: Image, { failure, isNew, sending = startSending() }: FailedCreation): boolean {
  if (status === 'queued' || sending.state === 'confirmed') return true;
  const isOfGlance = !sending.hasThrown(failure);
  // Another client was first.
  if (isOfGlance && failure instanceof Conflict) return false;
  // The lost response to an upload can be that another client was first.
  const isLost = isOfGlance && (failure instanceof GlanceConnectionFailed || failure instanceof GlanceUnavailable);
  if (status === 'saving') return sending.state !== 'not begun' && (isNew || !isLost);
  return status === 'active' && isNew && sending.state === 'complete' && size === sending.bytes;
}
