/**
 * Events (events.k8s.io/v1): the story of an object, for `kubectl describe`. Law: best effort. Recording never waits, never
 * throws and never fills the memory; a failure is logged. What repeats within six minutes is one Event with a count, and
 * one object can only say so much.
 */
import { withDeadline } from '../lib/abort.ts';
import { BoundedMap } from '../lib/bounded-map.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { KubernetesClient } from './client.ts';
import { isAlreadyExists, isNotFound } from './errors.ts';
import { microTime } from './microtime.ts';
import { type KubernetesObject, type ObjectMeta, parseObject, type ResourceType } from './resource.ts';
import { createTokenBuckets } from './tokens.ts';

export interface RecordedEvent {
  type: 'Normal' | 'Warning';
  /** CamelCase; the same word as in the condition. */
  reason: string;
  /** CamelCase: what was being done. */
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
  /** Sends what was recorded until `stop`, then what is left within two seconds. `halt` ends it at once. */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

export interface EventRecorderOptions {
  client: Pick<KubernetesClient, 'create' | 'jsonPatch'>;
  /** Who says it, e.g. `glance-image-operator`; and which Pod of it. */
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
/** As in client-go: 25 at once, then one every five minutes, per object. */
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
  const buckets = createTokenBuckets(clock, { burst, refillMs, maxKeys: maxSeries });
  /** By what makes two events the same; the least recently seen first. */
  const known = new BoundedMap<string, Series>(maxSeries);
  const unsent = new BoundedMap<Series, true>(maxUnsent);
  let wake = Promise.withResolvers<void>();

  function seriesOf(regarding: Regarding, event: RecordedEvent): Series {
    // Of an object only this much is kept: its annotations may be large.
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

  /** Resolves with whether the Event was there. */
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
        // Events live for an hour; one that is gone is told anew.
        if (series.sent && (await recount(series, counted, signal))) return;
        try {
          await client.create(eventType, body(series, options), signal);
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
          // It is ours: the answer to an earlier try was lost.
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
      if (!buckets.take(regarding.metadata.uid)) {
        log.debug({ name: regarding.metadata.name, reason: event.reason }, 'Too many Events for one object; left out');
        return;
      }
      const series = seriesOf(regarding, { ...event, note: cut(event.note, maxNoteBytes) });
      // One that is waiting keeps its place.
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

/** `<object>.<hex>`, as client-go names them; `generateName` is refused for some names. */
function eventName(object: string, at: Date, random: Random): string {
  const hex =
    at.getTime().toString(16) +
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return `${object.slice(0, 200).replace(/[-.]+$/, '')}.${hex}`;
}

/** The text within `bytes` of UTF-8, cut between characters. */
function cut(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let kept = Buffer.from(text)
    .subarray(0, bytes - Buffer.byteLength('…'))
    .toString('utf8');
  kept = kept.replace(/\uFFFD+$/, '');
  return `${kept}…`;
}
