/** A store that needs ten minutes for the end of an image, behind proxies that give up earlier. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf, generated } from '../env/content.ts';
import type { Fault } from '../env/proxy.ts';
import { useScene } from './real.ts';

const scene = useScene();
const storeMs = 600_000;
const transferMs = 3 * storeMs;
const body = generated(8 * 2 ** 20);
const digest = `sha256:${digestOf(body)}`;

/** What the operator gets, while Glance gets the end of the data, or has its response held back, for ten minutes. */
const faults: Readonly<Record<string, (stored: Promise<unknown>) => Fault>> = {
  'a 504 at once': (released) => ({ kind: 'answerEarly', status: 504, released }),
  'no more connection': (released) => ({ kind: 'answerEarly', status: 'reset', released }),
  'no response until then': (stored) => ({ kind: 'afterAnswer', run: async () => void (await stored) }),
};

test('images whose store needs ten minutes are sent once and used, whatever a proxy does meanwhile', async () => {
  const { glance, source, plan, run, path, project, puts } = scene();
  async function transfer(method: 'Upload' | 'Stage', what: string, fault: (stored: Promise<unknown>) => Fault) {
    const at = path();
    const wanted = await plan({ url: source.add(at, { body }), digest, method });
    const isUpload = (request: { method: string; path: string }) =>
      request.method === 'PUT' && request.path.includes(`${wanted.imageID}/`);
    const lastByte = Promise.withResolvers<void>();
    const stored = lastByte.promise.then(() => sleep(storeMs));
    glance.on({ matches: isUpload, fault: fault(stored), times: 1 });
    const began = performance.now();
    const result = await run(wanted, {
      signal: AbortSignal.timeout(transferMs),
      onProgress: ({ phase }) => void (phase === 'finishing' && lastByte.resolve()),
    });
    const how = `${method}: ${what}`;
    assert(performance.now() - began >= storeMs, how);
    assert.equal(puts(wanted), 1, how);
    const image = await project.getImage(wanted.imageID);
    assert.deepEqual([image.status, image.size, result.bytes], ['active', body.size, body.size], how);
  }
  const cases = (['Upload', 'Stage'] as const).flatMap((method) =>
    Object.entries(faults).map(([what, fault]) => transfer(method, what, fault)),
  );
  await Promise.all(cases);
});
