/** The Pods of a namespace as the API server changes them. It lists again when a watch ends. */
import { request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Kubernetes } from '../kubernetes.ts';
import { type Pod, podSchema } from './pod.ts';

const listSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }), items: z.array(podSchema) });
const eventSchema = z.object({ type: z.string(), object: z.unknown() });

export interface PodEvents {
  seen: (pod: Pod) => void;
  gone: (uid: string) => void;
}

/** Resolves when the signal aborts. */
export async function watchPods(kubernetes: Kubernetes, namespace: string, events: PodEvents, signal: AbortSignal) {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  let known = new Set<string>();
  while (!signal.aborted) {
    const answer = await kubernetes.request('GET', path).catch(() => undefined);
    if (answer?.status !== 200) {
      await sleep(100, undefined, { signal }).catch(() => {});
      continue;
    }
    const { metadata, items } = answer.as(listSchema);
    const listed = new Set(items.map((pod) => pod.metadata.uid));
    for (const uid of known) if (!listed.has(uid)) events.gone(uid);
    known = listed;
    for (const pod of items) events.seen(pod);
    const query = `watch=true&resourceVersion=${metadata.resourceVersion}`;
    for await (const line of linesOf(kubernetes, `${path}?${query}`, signal)) {
      const { type, object } = eventSchema.parse(JSON.parse(line));
      if (type !== 'ADDED' && type !== 'MODIFIED' && type !== 'DELETED') break;
      const pod = podSchema.parse(object);
      if (type === 'DELETED') events.gone(pod.metadata.uid);
      else events.seen(pod);
      if (type === 'DELETED') known.delete(pod.metadata.uid);
      else known.add(pod.metadata.uid);
    }
  }
}

/** Ends when the server ends the response, and when it fails. */
async function* linesOf(kubernetes: Kubernetes, path: string, signal: AbortSignal): AsyncGenerator<string> {
  const { server, caPem: ca, adminToken } = kubernetes;
  const { promise: response, resolve } = Promise.withResolvers<import('node:http').IncomingMessage | undefined>();
  const headers = { authorization: `Bearer ${adminToken}` };
  const sent = httpsRequest(`${server}${path}`, { ca, headers, agent: false, signal }, resolve);
  sent.on('error', () => resolve(undefined));
  sent.end();
  const body = await response;
  if (body === undefined) return;
  body.on('error', () => {});
  const lines = createInterface({ input: body });
  try {
    for await (const line of lines) yield line;
  } catch {
    // The connection broke, or the signal has aborted.
  } finally {
    sent.destroy();
  }
}
