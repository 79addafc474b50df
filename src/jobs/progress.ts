/**
 * The progress of transfers in pods: each pod writes a key of one ConfigMap, and the operator reads all of them while Jobs run.
 *
 * Guarantees: a pod needs the right to patch this one ConfigMap, and no other; its text is bounded and checked, and decides only what is
 * shown and whether a run is slow. Progress that cannot be written or read ends no transfer.
 */
import * as z from 'zod';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { type KubernetesObject, parseObject, pathOf, type ResourceType } from '../kubernetes/resource.ts';
import type { ApiTransport } from '../kubernetes/transport.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import { parseBounded } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import { mapOf } from '../lib/map-of.ts';
import type { TransferProgress } from '../transfer/plan.ts';

export interface ProgressPlace {
  namespace: string;
  configMap: string;
}

interface ProgressMap extends KubernetesObject {
  data: ReadonlyMap<string, string>;
  hasBinaryData: boolean;
  isImmutable: boolean;
}

const mapSchema = z.object({
  data: mapOf(z.string()).optional(),
  binaryData: z.unknown().optional(),
  immutable: z.boolean().optional(),
});

const progressType: ResourceType<ProgressMap> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  parse(object) {
    const { data = new Map(), binaryData, immutable = false } = mapSchema.parse(object);
    return { ...parseObject(object), data, hasBinaryData: binaryData !== undefined, isImmutable: immutable };
  },
};

const bytes = z.int().min(0);
const progressSchema = z.strictObject({
  bytes,
  servedBytes: bytes,
  total: bytes.nullable(),
  phase: z.enum(['connecting', 'transferring', 'finishing']),
  decoderMemory: z.enum(['awaited', 'held']).exactOptional(),
});
const maxLength = 500;

export function readProgress(text: string | undefined): TransferProgress | undefined {
  const read = parseBounded(progressSchema, text, maxLength);
  return read && { ...read, total: read.total ?? undefined };
}

export function writeProgress(progress: TransferProgress): string {
  return JSON.stringify({ ...progress, total: progress.total ?? null });
}

/** Null removes what is there. */
async function putProgress(
  transport: Pick<ApiTransport, 'request'>,
  { namespace, configMap }: ProgressPlace,
  change: { data: Readonly<Record<string, string | null>>; binaryData?: null },
  signal: AbortSignal,
): Promise<void> {
  await transport.request(
    {
      method: 'PATCH',
      path: pathOf(progressType, { namespace, name: configMap }),
      headers: { 'content-type': 'application/merge-patch+json' },
      body: change,
      idempotent: true,
      deadlineMs: 10_000,
    },
    signal,
  );
}

const pushMs = 5_000;

export interface ProgressPusher {
  report(progress: TransferProgress): void;
  /** Removes the key. Resolves when that is done, or has failed. */
  stop(signal: AbortSignal): Promise<void>;
}

/** In a pod: writes the first progress at once, and then at most every five seconds. `onProblem` is called once. */
export function pushProgress(
  transport: Pick<ApiTransport, 'request'>,
  place: ProgressPlace & { key: string },
  clock: Clock,
  onProblem: (problem: string) => void,
): ProgressPusher {
  const over = new AbortController();
  let latest: TransferProgress | undefined;
  let written: TransferProgress | undefined;
  let isReported = false;
  let writing = Promise.resolve();
  let cancelTimer: (() => void) | undefined;

  async function write(value: string | undefined, signal: AbortSignal): Promise<void> {
    try {
      await putProgress(transport, place, { data: { [place.key]: value ?? null } }, signal);
    } catch (error) {
      if (signal.aborted || isReported) return;
      isReported = true;
      onProblem(describe(error));
    }
  }
  const push = () => {
    if (latest !== undefined && latest !== written) {
      written = latest;
      const text = writeProgress(latest);
      writing = writing.then(() => write(text, over.signal));
    }
    cancelTimer = clock.schedule(pushMs, push);
  };
  return {
    report(progress) {
      latest = progress;
      if (cancelTimer === undefined) push();
    },
    async stop(signal) {
      cancelTimer?.();
      over.abort(new Error('the transfer is over'));
      await writing;
      if (written !== undefined) await write(undefined, signal);
    },
  };
}

export interface ProgressBoardOptions {
  client: Pick<KubernetesClient, 'get'>;
  transport: Pick<ApiTransport, 'request'>;
  place: ProgressPlace;
  /** Whether there is a Job of this name. The keys of others are removed, and what is no progress by its length. */
  isJob(name: string): boolean;
  clock: Clock;
  log: Logger;
}

const readMs = 5_000;

/** In the operator. */
export function createProgressBoard({ client, transport, place, isJob, clock, log }: ProgressBoardOptions) {
  const listeners = new Map<string, (progress: TransferProgress) => void>();
  let isBroken = false;

  async function look(signal: AbortSignal): Promise<void> {
    const { namespace, configMap: name } = place;
    const map = await client.get(progressType, { namespace, name }, signal);
    const what = `ConfigMap ${namespace}/${name}, which the chart makes,`;
    if (map === undefined)
      throw new OperatorError(`${what} is missing: apply the chart again`, { code: 'KubernetesFailed' });
    for (const [key, text] of map.data) {
      const progress = readProgress(text);
      if (progress !== undefined) listeners.get(key)?.(progress);
    }
    if (map.isImmutable)
      throw new OperatorError(`${what} was made immutable: delete it, and apply the chart again`, {
        code: 'KubernetesFailed',
      });
    // No pod writes a text that is too long, nor binary data, and a few of them fill the ConfigMap.
    const isUseless = ([key, text]: readonly [string, string]) => !isJob(key) || text.length > maxLength;
    const useless = [...map.data].filter(isUseless);
    if (useless.length === 0 && !map.hasBinaryData) return;
    const data = Object.fromEntries(useless.map(([key]) => [key, null]));
    await putProgress(transport, place, { data, ...(map.hasBinaryData ? { binaryData: null } : {}) }, signal);
  }

  return {
    follow(jobName: string, listener: (progress: TransferProgress) => void): () => void {
      listeners.set(jobName, listener);
      return () => {
        if (listeners.get(jobName) === listener) listeners.delete(jobName);
      };
    },
    /** Reads while there are listeners, until the signal aborts. */
    async run(signal: AbortSignal): Promise<void> {
      for (;;) {
        await clock.sleep(readMs, signal);
        if (listeners.size === 0) continue;
        try {
          await look(signal);
          isBroken = false;
        } catch (error) {
          signal.throwIfAborted();
          if (!isBroken) log.warn({ problem: describe(error) }, 'The progress of transfers in pods cannot be read');
          isBroken = true;
        }
      }
    },
  };
}
