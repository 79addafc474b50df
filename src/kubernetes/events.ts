/**
 * Events (events.k8s.io/v1) of an object, for `kubectl describe`. Guarantees: best effort. Recording never waits, never throws
 * and uses bounded memory; a failure is logged. Repetitions within six minutes are one Event with a count, and the Events of
 * one object are limited in rate.
 */
import { withDeadline } from '../lib/abort.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { KubernetesClient } from './client.ts';
import { isAlreadyExists, isNotFound } from './errors.ts';
import { type KubernetesObject, microTime, type ObjectMeta, parseObject, type ResourceType } from './resource.ts';

export interface RecordedEvent {
  type: 'Normal' | 'Warning';
  /** CamelCase; the same word as in the condition. */
  reason: string;
  /** CamelCase: the operation. */
  action: string;
  note: string;
}

export interface Regarding {
  apiVersion: string;
  kind: string;
  metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'resourceVersion'>;
}

export interface EventRecorder {
  record(regarding: Regarding, event: RecordedEvent): void;
  /** Sends recorded Events until `stop`, then the remaining ones within two seconds. `halt` ends it immediately. */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

export interface EventRecorderOptions {
  client: Pick<KubernetesClient, 'create' | 'jsonPatch'>;
  /** The controller that reports, e.g. `glance-image-operator`, and its Pod. */
  reportingController: string;
  reportingInstance: string;
  clock: Clock;
  random: Random;
  log: Logger;
}

/** One Event in the cluster, with the number of times it happened. */
interface Series {
  name: string;
  namespace: string;
  regarding: Regarding;
  event: RecordedEvent;
  firstAt: Date;
  lastAt: Date;
  /** Monotonic, in ms. */
  lastSeen: number;
  count: number;
  sent: boolean;
}

/** The `series` of an Event. */
interface Counted {
  count: number;
  lastObservedTime: string;
}

const seriesMs = 6 * 60_000;
const maxSeries = 1000;
const maxUnsent = 256;
const maxNoteBytes = 1024;
const maxWordLength = 128;
const sendDeadlineMs = 10_000;
const drainMs = 2000;
/** As in client-go, per object: a burst of 25, then one every five minutes. */
const burst = 25;
const refillMs = 5 * 60_000;

const eventType: ResourceType<KubernetesObject> = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  parse: parseObject,
};

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, clock, random, log } = options;
  const mayRecord = createRateLimiter(clock);
  /** By the fields that make two events the same; the least recently seen first. */
  const known = new BoundedMap<string, Series>(maxSeries);
  const unsent = new BoundedMap<Series, true>(maxUnsent);
  let wake = Promise.withResolvers<void>();

  function seriesOf(regarding: Regarding, event: RecordedEvent): Series {
    // Only these fields of the object are kept: its annotations may be large.
    const { name, namespace, uid, resourceVersion } = regarding.metadata;
    const key = [uid, event.type, event.reason, event.action, event.note].join('\n');
    const now = clock.now();
    const before = known.get(key);
    const series: Series =
      before && clock.monotonic() - before.lastSeen < seriesMs
        ? before
        : {
            name: eventName(name, now, random),
            namespace: namespace ?? 'default',
            regarding: { ...regarding, metadata: { name, namespace, uid, resourceVersion } },
            event,
            firstAt: now,
            lastAt: now,
            lastSeen: 0,
            count: 0,
            sent: false,
          };
    series.count++;
    series.lastAt = now;
    series.lastSeen = clock.monotonic();
    known.set(key, series);
    return series;
  }

  /** Resolves with whether the Event exists. */
  async function recount(series: Series, counted: Counted, signal: AbortSignal): Promise<boolean> {
    const test = { op: 'test', path: '/metadata/name', value: series.name } as const;
    try {
      await client.jsonPatch(eventType, series, [test, { op: 'add', path: '/series', value: counted }], signal);
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async function send(series: Series, halt: AbortSignal): Promise<void> {
    const counted: Counted = { count: series.count, lastObservedTime: microTime(series.lastAt) };
    try {
      await withDeadline(clock, 'sending an Event', sendDeadlineMs, halt, async (signal) => {
        // The server deletes Events after an hour; a deleted one is created again.
        if (series.sent && (await recount(series, counted, signal))) return;
        try {
          await client.create(eventType, body(series, options), signal);
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
          // It is ours: the response to an earlier attempt was lost.
          await recount(series, counted, signal);
        }
        series.sent = true;
      });
    } catch (error) {
      if (!halt.aborted)
        log.warn({ reason: series.event.reason, problem: describe(error) }, 'An Event was not recorded');
    }
  }

  async function sendAll(until: AbortSignal, halt: AbortSignal): Promise<void> {
    for (const series of unsent.keys()) {
      if (until.aborted) return;
      unsent.delete(series);
      await send(series, halt);
    }
  }

  return {
    record(regarding, event) {
      if (!mayRecord(regarding.metadata.uid)) {
        log.debug(
          { name: regarding.metadata.name, reason: event.reason },
          'Too many Events for one object; this one is dropped',
        );
        return;
      }
      const series = seriesOf(regarding, { ...event, note: cut(event.note, maxNoteBytes) });
      // A series that is waiting keeps its place.
      if (!unsent.has(series)) unsent.set(series, true);
      wake.resolve();
    },

    async run(stop, halt) {
      stop.addEventListener('abort', () => wake.resolve(), { once: true });
      while (!stop.aborted) {
        await wake.promise;
        wake = Promise.withResolvers();
        await sendAll(stop, halt);
      }
      const drain = (signal: AbortSignal) => sendAll(signal, signal);
      if (!halt.aborted) await withDeadline(clock, 'sending the last Events', drainMs, halt, drain).catch(() => {});
    },
  };
}

/** A token bucket for each key. Whether a key may go now; the least recently used keys are dropped. */
function createRateLimiter(clock: Clock): (key: string) => boolean {
  const buckets = new BoundedMap<string, { tokens: number; at: number }>(maxSeries);
  return (key) => {
    const now = clock.monotonic();
    const bucket = buckets.get(key) ?? { tokens: burst, at: now };
    const tokens = Math.min(burst, bucket.tokens + (now - bucket.at) / refillMs);
    const granted = tokens >= 1;
    buckets.set(key, { tokens: granted ? tokens - 1 : tokens, at: now });
    return granted;
  };
}

function body(series: Series, { reportingController, reportingInstance }: EventRecorderOptions) {
  const { apiVersion, kind, metadata } = series.regarding;
  const { namespace, name, uid, resourceVersion } = metadata;
  return {
    metadata: { name: series.name, namespace: series.namespace },
    eventTime: microTime(series.firstAt),
    reportingController,
    reportingInstance: reportingInstance.slice(0, maxWordLength),
    type: series.event.type,
    reason: series.event.reason,
    action: series.event.action,
    note: series.event.note,
    regarding: { apiVersion, kind, namespace, name, uid, resourceVersion },
    ...(series.count > 1 ? { series: { count: series.count, lastObservedTime: microTime(series.lastAt) } } : {}),
  };
}

/** `<object>.<hex>`, as client-go names them; the server rejects `generateName` for some names. */
function eventName(object: string, at: Date, random: Random): string {
  const hex =
    at.getTime().toString(16) +
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return `${object.slice(0, 200).replace(/[-.]+$/, '')}.${hex}`;
}

/** The text within `bytes` bytes of UTF-8, cut between characters. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let kept = Buffer.from(text)
    .subarray(0, bytes - Buffer.byteLength('…'))
    .toString('utf8');
  kept = kept.replace(/\uFFFD+$/, '');
  return `${kept}…`;
}
