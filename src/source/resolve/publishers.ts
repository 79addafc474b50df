/**
 * Asks publishers on behalf of resources, in the background.
 *
 * Guarantees: `read` never waits; equal questions of any number of resources are read once; requests in flight are bounded, in total
 * and for each host, and namespaces take turns, so that a server that stalls delays no other; a failure is retried with delays that
 * grow, and forgotten when the publisher responds again. Files that are read themselves have places of their own, one for each
 * namespace, because they take long.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock, Random } from '../../lib/clock.ts';
import { delayOf, reactionTo } from '../../lib/error-codes.ts';
import { describe, OperatorError } from '../../lib/errors.ts';
import { createFairQueue } from '../../lib/fair-queue.ts';
import { type Key, namespaceOf } from '../../lib/key.ts';
import type { SecretNeed, SourceSecrets } from '../kind.ts';
import type { Question, Resolution } from './question.ts';
import type { Asking, Known } from './resolve.ts';

export interface Asked {
  question: Question;
  /** In the namespace of the resource. */
  secrets: readonly SecretNeed[];
  /** The origin of the file, which is the only one that gets the declared headers. */
  declaredFor: string | undefined;
}

export interface Demand {
  /** How often it is read again; undefined: only while there is no resolution. */
  intervalMs: number | undefined;
  /** The resource has a resolution from before, so the first question can wait for its time. */
  isPinned: boolean;
  /** An earlier reading does not count: monotonic ms. */
  sinceMs?: number | undefined;
  /** The file that is read itself, as the status has it from before this process. */
  known?: Known | undefined;
}

export type Reading =
  /** It is being read, or waits for a slot. */
  { kind: 'pending' } | { kind: 'resolved'; resolution: Resolution } | { kind: 'failed'; error: OperatorError };

export interface Publishers {
  /** `nextMs`: when to look again, if nothing is reported until then. */
  read(key: Key, asked: Asked, demand: Demand): { reading: Reading; nextMs: number | undefined };
  forget(key: Key): void;
  /** Aborts what is running. Resolves when nothing runs any more. */
  close(): Promise<void>;
}

export interface PublishersOptions {
  /** Reads Secrets of a namespace. */
  secretsOf(namespace: string, needs: readonly SecretNeed[], signal: AbortSignal): Promise<SourceSecrets>;
  /** Throws an OperatorError, or the signal's reason. */
  ask(asking: Omit<Asking, 'limits'>, signal: AbortSignal): Promise<Known>;
  /** A reading of this resource has another result than before. */
  onChange(key: Key): void;
  clock: Clock;
  random: Random;
}

interface Entry {
  readonly id: string;
  readonly asked: Asked;
  /** Of the first resource that asked. */
  readonly namespace: string;
  readonly timetable: Timetable;
  readonly keys: Set<Key>;
  state: 'idle' | 'waiting' | 'running';
  /** When the last reading began; undefined if there is none. */
  startedMs: number | undefined;
  known: Known | undefined;
  failure: { error: OperatorError; attempts: number; retryMs: number } | undefined;
  /** With which the known document was verified. */
  signers: readonly Uint8Array[];
  /** A resource waits for the result, also if it is the same as before. */
  isAwaited: boolean;
}

const mostRunning = 16;
const mostPerHost = 4;
/** Files that are read themselves. */
const mostFiles = 8;

export function createPublishers(options: PublishersOptions): Publishers {
  const { clock, random, onChange } = options;
  const entries = new Map<string, Entry>();
  const byKey = new Map<Key, Entry>();
  const waiting = createFairQueue<Entry>(
    ({ namespace }) => namespace,
    ({ asked }) => hostOf(asked.question),
  );
  const runs = new Map<Entry, Promise<void>>();
  const closing = new AbortController();
  let count = 0;

  function entryOf(key: Key, asked: Asked): Entry {
    const namespace = namespaceOf(key);
    // Secrets are of one namespace, so a question with one is not that of another namespace.
    const id = JSON.stringify([asked, asked.secrets.length === 0 ? '' : namespace]);
    const before = byKey.get(key);
    if (before?.id === id) return before;
    if (before !== undefined) leave(key, before);
    const timetable = { number: count++, beganMs: clock.monotonic() };
    const fresh = { startedMs: undefined, known: undefined, failure: undefined, signers: [], isAwaited: false };
    const entry = entries.get(id) ?? { id, asked, namespace, timetable, keys: new Set(), state: 'idle', ...fresh };
    entries.set(id, entry);
    entry.keys.add(key);
    byKey.set(key, entry);
    return entry;
  }

  function leave(key: Key, entry: Entry): void {
    byKey.delete(key);
    entry.keys.delete(key);
    if (entry.keys.size !== 0) return;
    waiting.remove(entry);
    entries.delete(entry.id);
  }

  function enqueue(entry: Entry): void {
    if (entry.state !== 'idle' || closing.signal.aborted) return;
    entry.state = 'waiting';
    waiting.add(entry);
    startNext();
  }

  function startNext(): void {
    for (;;) {
      const next = waiting.take(mayStart);
      if (next === undefined) return;
      next.state = 'running';
      next.startedMs = clock.monotonic();
      runs.set(
        next,
        run(next).then((isNew) => ended(next, isNew)),
      );
    }
  }

  function mayStart({ asked: { question }, namespace }: Entry): boolean {
    const running = [...runs.keys()];
    const files = running.filter(({ asked }) => isOfFile(asked.question));
    if (isOfFile(question)) return files.length < mostFiles && files.every((one) => one.namespace !== namespace);
    const documents = running.filter(({ asked }) => !isOfFile(asked.question));
    const atHost = documents.filter(({ asked }) => hostOf(asked.question) === hostOf(question));
    return documents.length < mostRunning && atHost.length < mostPerHost;
  }

  /** Resources look at it only now: while it runs, its result is not that of this run. */
  function ended(entry: Entry, isNew: boolean): void {
    entry.state = 'idle';
    runs.delete(entry);
    if (closing.signal.aborted) return;
    const isReported = isNew || entry.isAwaited;
    entry.isAwaited = false;
    if (isReported) for (const key of entry.keys) onChange(key);
    startNext();
  }

  /** Never rejects. Resolves with whether the result is another one than before. */
  async function run(entry: Entry): Promise<boolean> {
    const before = { resolution: entry.known?.resolution, error: entry.failure?.error.message };
    try {
      entry.known = await ask(entry);
      entry.failure = undefined;
    } catch (error) {
      if (closing.signal.aborted) return false;
      const attempts = (entry.failure?.attempts ?? 0) + 1;
      const known = error instanceof OperatorError ? error : unexpected(error);
      const delayMs = delayOf(reactionTo(known.retry, attempts), attempts, random());
      entry.failure = { error: known, attempts, retryMs: clock.monotonic() + delayMs };
    }
    const after = { resolution: entry.known?.resolution, error: entry.failure?.error.message };
    return !isDeepStrictEqual(before, after);
  }

  async function ask(entry: Entry): Promise<Known> {
    const { asked, namespace, known, signers } = entry;
    const { signal } = closing;
    const secrets = await options.secretsOf(namespace, asked.secrets, signal);
    const { keys = [] } = secrets;
    const { question, declaredFor } = asked;
    // With other keys, an unchanged list has to be verified again.
    const verified = isDeepStrictEqual(keys, signers) ? known : undefined;
    const result = await options.ask({ question, known: verified, secrets, declaredFor }, signal);
    entry.signers = keys;
    return result;
  }

  function readingOf({ known, failure, startedMs, state }: Entry, { sinceMs }: Demand): Reading {
    const isOutdated = sinceMs !== undefined && (startedMs === undefined || startedMs < sinceMs || state === 'running');
    if (isOutdated) return { kind: 'pending' };
    if (failure !== undefined) return { kind: 'failed', error: failure.error };
    return known === undefined ? { kind: 'pending' } : { kind: 'resolved', resolution: known.resolution };
  }

  /** When it is to be read next, in monotonic ms. */
  function dueMs({ timetable, startedMs, failure }: Entry, { intervalMs, isPinned, sinceMs }: Demand): number {
    if (sinceMs !== undefined && (startedMs === undefined || startedMs < sinceMs)) return 0;
    if (failure !== undefined) return failure.retryMs;
    if (startedMs === undefined && !isPinned) return 0;
    if (intervalMs === undefined) return Number.POSITIVE_INFINITY;
    // The first reading is at any time, and need not be repeated at once.
    const afterMs = startedMs === undefined ? timetable.beganMs - 1 : startedMs + intervalMs / 2;
    return nextTick(timetable, intervalMs, afterMs);
  }

  return {
    read(key, asked, demand) {
      const entry = entryOf(key, asked);
      if (isOfFile(asked.question)) entry.known ??= demand.known;
      if (dueMs(entry, demand) <= clock.monotonic()) enqueue(entry);
      const reading = readingOf(entry, demand);
      if (reading.kind === 'pending' && entry.state !== 'idle') entry.isAwaited = true;
      const next = dueMs(entry, demand);
      const nextMs = Number.isFinite(next) && entry.state === 'idle' ? next - clock.monotonic() : undefined;
      return { reading, nextMs };
    },
    forget(key) {
      const entry = byKey.get(key);
      if (entry !== undefined) leave(key, entry);
    },
    async close() {
      closing.abort(new OperatorError('the operator is stopping', { code: 'LeadershipLost' }));
      await Promise.all(runs.values());
    },
  };
}

function isOfFile({ looksFor }: Question): boolean {
  return looksFor.kind === 'firstUse';
}

function hostOf({ url }: Question): string {
  return URL.parse(url)?.host ?? url;
}

function unexpected(error: unknown): OperatorError {
  return new OperatorError(`unexpected error in the operator: ${describe(error)}`, {
    code: 'InternalError',
    cause: error,
  });
}

/** Multiples of it, without their integer part, fill the interval from 0 to 1 evenly, in whatever number they are. */
const goldenRatio = (Math.sqrt(5) - 1) / 2;
const longestFirstMs = 3_600_000;

interface Timetable {
  /** Of this question among all of the process, from 0. */
  number: number;
  /** When the process met the question, in ms of any clock that does not go back. */
  beganMs: number;
}

/**
 * The first time after `afterMs` at which the question is due again. Questions that begin at one moment with one interval are spread
 * over it evenly, and not by chance. After a start, each is due within an hour, however long its interval is.
 */
export function nextTick({ number, beganMs }: Timetable, intervalMs: number, afterMs: number): number {
  const firstMs = Math.ceil(beganMs + ((number * goldenRatio) % 1) * Math.min(intervalMs, longestFirstMs));
  if (afterMs < firstMs) return firstMs;
  return firstMs + (Math.floor((afterMs - firstMs) / intervalMs) + 1) * intervalMs;
}
