/** A watcher with scripted responses, in the test's own time. */
import assert from 'node:assert/strict';
import { createClient } from '../../src/kubernetes/client.ts';
import { KubernetesError } from '../../src/kubernetes/errors.ts';
import type { ApiTransport } from '../../src/kubernetes/transport.ts';
import { type WatcherEvent, type WatchProgress, watchResource } from '../../src/kubernetes/watcher.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { createVirtualClock } from '../clock.ts';
import { type Thing, thing, thingType } from './things.ts';

export const failure = (reason: string, httpStatus = 500) => new KubernetesError(reason, { reason, httpStatus });

type Page = { resourceVersion: string; names: string[]; continueToken: string };
/** One watch of a script: what it sends, at which time after its start in ms, and how it ends. */
export type Step = { at: number; line: object } | { at: number; end: 'cleanly' | Error };
type Script = (Page | Error | Step[])[];

export const page = (resourceVersion: string, names: string[], continueToken = ''): Page => ({
  resourceVersion,
  names,
  continueToken,
});
export const applied = (name: string, resourceVersion: string) => ({
  type: 'MODIFIED',
  object: thing(name, resourceVersion),
});
export const deleted = (name: string, resourceVersion: string) => ({
  type: 'DELETED',
  object: thing(name, resourceVersion),
});
export const bookmark = (resourceVersion: string, annotations = {}) => ({
  type: 'BOOKMARK',
  object: { metadata: { resourceVersion, annotations } },
});
export const endOfList = (resourceVersion: string) =>
  bookmark(resourceVersion, { 'k8s.io/initial-events-end': 'true' });

/** What a server without streaming lists says to one. */
export const noStreams = new KubernetesError('sendInitialEvents is forbidden', {
  reason: 'Invalid',
  httpStatus: 422,
});

/**
 * Runs a watcher with scripted responses; `asked` has its requests, with the time in seconds. Unless it `streams`, the
 * server rejects a streaming list, which is not part of the script.
 */
export function start(script: Script, { streams = false } = {}) {
  const clock = createVirtualClock();
  const asked: string[] = [];
  const told: string[] = [];
  const progress: WatchProgress[] = [];
  const left = [...script];
  const note = (text: string) => asked.push(`${Math.round(clock.monotonic() / 100) / 10} ${text}`);
  const transport: ApiTransport = {
    server: 'http://server',
    namespace: 'default',
    close: async () => {},
    now: clock.now,
    async request({ query }) {
      note(query?.['continue'] === undefined ? 'list' : `list ${query['continue']}`);
      const next = left.shift();
      if (next instanceof Error) throw next;
      if (next === undefined || Array.isArray(next)) throw new Error('the script expects no list here');
      const { resourceVersion, names, continueToken } = next;
      return {
        metadata: { resourceVersion, continue: continueToken },
        items: names.map((name) => thing(name, resourceVersion)),
      };
    },
    async *stream({ query, deadlineMs, onOpen }, signal) {
      if (query['sendInitialEvents'] === true && !streams) throw noStreams;
      note(query['sendInitialEvents'] === true ? 'stream' : `watch ${query['resourceVersion']}`);
      const timeout = Number(query['timeoutSeconds']);
      assert.ok(timeout >= 240 && timeout <= 290 && deadlineMs > timeout * 1000);
      const next = left.shift();
      if (next instanceof Error) throw next;
      if (next !== undefined && !Array.isArray(next)) throw new Error('the script expects no watch here');
      onOpen?.();
      const startedAt = clock.monotonic();
      for (const step of next ?? []) {
        await clock.sleep(startedAt + step.at - clock.monotonic(), signal);
        if ('line' in step) yield JSON.stringify(step.line);
        else if (step.end instanceof Error) throw step.end;
        else return;
      }
      await clock.sleep(1e12, signal);
    },
  };
  const signal = new AbortController();
  const options = {
    client: createClient(transport),
    type: thingType,
    scope: {},
    clock,
    random: () => 0.5,
    log: silentLogger,
    onProgress: (step: WatchProgress) => void progress.push(step),
  };
  const ended = (async () => {
    for await (const event of watchResource(options, signal.signal)) told.push(summary(event));
  })();
  ended.catch(() => {});
  const finish = async () => {
    signal.abort(new Error('the end of the test'));
    await assert.rejects(ended, /the end of the test/);
    assert.equal(clock.pending, 0);
  };
  return { clock, asked, told, progress, finish };
}

function summary(event: WatcherEvent<Thing>): string {
  switch (event.kind) {
    case 'restarted':
      return `restarted ${event.items.map((item) => item.object.metadata.name).join(',')}`;
    case 'bookmark':
      return `bookmark ${event.resourceVersion}`;
    default:
      return `${event.kind} ${event.item.object.metadata.name} ${event.resourceVersion}`;
  }
}
