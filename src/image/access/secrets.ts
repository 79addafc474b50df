/**
 * What is known of the Secrets that GlanceImages name: the version of the content of each, as it was last read. Every
 * reading is recorded here, and one that finds other content wakes the resources that use the Secret.
 *
 * Guarantees: `get` is all that is needed. A Secret is read again while a resource that names it waits for a later attempt,
 * and when a watch, where there is one, reports it. Only other content counts as a change, never other metadata. No value is
 * kept. Requests for one Secret at the same time share a reading, which begins after each of them. In the background Secrets are read
 * one at a time; one that cannot be read delays no other.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import { abortable, linked, neverAborted } from '../../lib/abort.ts';
import { BoundedMap } from '../../lib/bounded-map.ts';
import type { Clock } from '../../lib/clock.ts';
import { OperatorError } from '../../lib/errors.ts';
import { type Key, keyOf, partsOf } from '../../lib/key.ts';
import type { Logger } from '../../lib/log.ts';
import type { CredentialSource, SecretContent } from '../../openstack/credential-source.ts';
import { sourceOf } from '../../source/registry.ts';
import { contentOf } from '../model/content.ts';

export interface Secrets {
  /** Reads a Secret, and records its version. */
  credentials: CredentialSource;
  /** The version as last read. Undefined where it was not read, or not found then. */
  lastVersion(key: Key): string | undefined;
  /** The same, where the watch has reported no change since, or the reading is at most `maxAgeMs` old. */
  currentVersion(key: Key, maxAgeMs: number): string | undefined;
  /** The watch reports the Secret with this resourceVersion; undefined when it was deleted. */
  reported(key: Key, resourceVersion: string | undefined): void;
  run(stop: AbortSignal): Promise<void>;
}

export interface SecretsOptions {
  read: (
    namespace: string,
    name: string,
    signal: AbortSignal,
  ) => Promise<(SecretContent & { resourceVersion: string }) | undefined>;
  /** Whether `reported` is called for every change of a Secret. */
  watched: boolean;
  /** Secrets of resources that wait for a later attempt. */
  awaited: () => Iterable<Key>;
  /** Whether a resource names the Secret. */
  isUsed: (key: Key) => boolean;
  /** Its content is another than before. */
  onChange: (key: Key) => void;
  clock: Clock;
  log: Logger;
}

/** A Secret of a resource that waits for a later attempt is read about this often. */
export const secretPollMs = 30_000;
/** A bound on the Secrets whose version is remembered; one that is forgotten costs a reading. */
const maxSecrets = 100_000;

interface Reading {
  version: string | undefined;
  resourceVersion: string | undefined;
  atMs: number;
  /** The watch has reported another resourceVersion since. */
  outdated: boolean;
}

export function createSecrets(options: SecretsOptions): Secrets {
  const { read, watched, awaited, isUsed, onChange, clock, log } = options;
  const readings = new BoundedMap<Key, Reading>(maxSecrets);
  /** To be read in the background. */
  const pending = new Set<Key>();
  let wake = () => {};

  const readNow = shared(async (key): Promise<SecretContent | undefined> => {
    const { namespace, name } = partsOf(key);
    const found = await read(namespace, name, neverAborted());
    const before = readings.get(key);
    readings.set(key, {
      version: found?.version,
      resourceVersion: found?.resourceVersion,
      atMs: clock.monotonic(),
      outdated: false,
    });
    if (found !== undefined && found.version !== before?.version) onChange(key);
    return found;
  });

  /** An abort does not end the reading, because others may wait for it. It has the deadline of every call. */
  async function secret(namespace: string, name: string, signal: AbortSignal): Promise<SecretContent | undefined> {
    signal.throwIfAborted();
    return abortable(readNow(keyOf(namespace, name)), signal);
  }

  function isCurrent(reading: Reading, maxAgeMs: number): boolean {
    if (watched && !reading.outdated) return true;
    return clock.monotonic() - reading.atMs < maxAgeMs;
  }

  function awaitedNow(): Key[] {
    return [...awaited()].filter((key) => {
      const reading = readings.get(key);
      return reading === undefined || !isCurrent(reading, secretPollMs);
    });
  }

  /** Returns the Secrets that could not be read. */
  async function readAgain(stop: AbortSignal): Promise<Key[]> {
    const keys = [...new Set([...pending, ...awaitedNow()])];
    pending.clear();
    const failed: Key[] = [];
    let rest: Key[] = [];
    for (const [at, key] of keys.entries()) {
      const { namespace, name } = partsOf(key);
      try {
        await secret(namespace, name, stop);
      } catch (error) {
        stop.throwIfAborted();
        // One line for a round, however many fail.
        if (failed.length === 0)
          log.warn({ namespace, name, error }, 'Cannot read a Secret; the operator retries in 30 seconds');
        failed.push(key);
        if (concernsOneSecret(error)) continue;
        rest = keys.slice(at + 1);
        break;
      }
    }
    return [...rest, ...failed];
  }

  /** Until the next round, or until the watch reports a Secret. */
  async function rest(stop: AbortSignal): Promise<void> {
    if (pending.size > 0) return;
    using early = linked(stop);
    wake = () => early.abort();
    await clock.sleep(secretPollMs, early.signal).catch(() => stop.throwIfAborted());
    wake = () => {};
  }

  return {
    credentials: { secret },
    lastVersion: (key) => readings.get(key)?.version,
    currentVersion(key, maxAgeMs) {
      const reading = readings.get(key);
      return reading !== undefined && isCurrent(reading, maxAgeMs) ? reading.version : undefined;
    },
    reported(key, resourceVersion) {
      const reading = readings.get(key);
      if (reading?.resourceVersion === resourceVersion) return;
      if (reading !== undefined) readings.set(key, { ...reading, outdated: true });
      if (resourceVersion === undefined || !isUsed(key)) return;
      pending.add(key);
      wake();
    },
    async run(stop) {
      while (!stop.aborted) {
        const unread = await readAgain(stop);
        await rest(stop);
        for (const key of unread) pending.add(key);
      }
    },
  };
}

/** Work that is asked for while the same runs is done once for all who ask, and begins when that has ended: its result is never older. */
function shared<T>(work: (key: Key) => Promise<T>): (key: Key) => Promise<T> {
  const running = new Map<Key, { now: Promise<T>; next?: Promise<T> }>();
  function begin(key: Key): Promise<T> {
    const turn: { now: Promise<T>; next?: Promise<T> } = { now: work(key) };
    running.set(key, turn);
    const end = () => {
      if (turn.next === undefined) running.delete(key);
    };
    turn.now.then(end, end);
    return turn.now;
  }
  return (key) => {
    const turn = running.get(key);
    if (turn === undefined) return begin(key);
    turn.next ??= turn.now.then(
      () => begin(key),
      () => begin(key),
    );
    return turn.next;
  };
}

/** Whether the API server has responded, so that other Secrets can be read: a role does not cover a namespace, for example. */
function concernsOneSecret(error: unknown): boolean {
  const status = error instanceof OperatorError ? error.httpStatus : undefined;
  return status !== undefined && status >= 400 && status < 500 && status !== 401 && status !== 429;
}

/** The keys of the Secrets that a resource names, its clouds.yaml first. */
export function secretKeysOf(resource: GlanceImage): Key[] {
  const { metadata, spec } = resource;
  const content = contentOf(resource);
  const needs = content === undefined ? [] : sourceOf(content.source).secrets;
  const signers = spec.content?.verify?.openPGP.keysFrom.secretRef;
  const refs = [spec.cloud.secretRef, ...needs.map(({ ref }) => ref), ...(signers === undefined ? [] : [signers])];
  const names = refs.map(({ name }) => name);
  return [...new Set(names)].map((name) => keyOf(metadata.namespace, name));
}

/** The Secrets of those resources whose next attempt, which reads them, is not soon. */
export function* secretsAwaited(resources: Iterable<GlanceImage>, now: Date): Iterable<Key> {
  for (const resource of resources) {
    const { nextAttemptTime } = resource.status;
    if (nextAttemptTime === undefined || resource.spec.suspend) continue;
    if (Date.parse(nextAttemptTime) - now.getTime() > secretPollMs) yield* secretKeysOf(resource);
  }
}
