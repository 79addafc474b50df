/** Every status that the operator can write is admitted by the API server, and comes back equal. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { type GlanceImage, parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural } from '../../src/api/group.ts';
import type { GlanceImageStatus } from '../../src/api/status.ts';
import type { Image } from '../../src/glance/image.ts';
import { retryAfterMs } from '../../src/http/retry-after.ts';
import { createResources, glanceImageType, type Resources } from '../../src/image/access/resources.ts';
import type { Report } from '../../src/image/model/report.ts';
import { sanitise } from '../../src/image/model/sanitise.ts';
import { isAsSeen } from '../../src/image/status/seen.ts';
import { summarise } from '../../src/image/status/status.ts';
import { createClient, type KubernetesClient } from '../../src/kubernetes/client.ts';
import { createStore } from '../../src/kubernetes/reflector.ts';
import { type ApiTransport, createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { cloud } from '../api/declarations.ts';
import { fullStatus } from '../api/full-status.ts';
import { installCrd } from '../env/crd.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { never } from '../kubernetes/server.ts';
import { imageOf } from './resource.ts';
import { moment, promotes, reportOf } from './states.ts';
import { anyJson, anyReport, anyStatus, statusOf } from './statuses.ts';

let stack: Stack;
let transport: ApiTransport;
let client: KubernetesClient;
let resources: Resources;
let namespace: string;
let resource: GlanceImage;

before(async () => {
  stack = await connectStack();
  transport = createApiTransport({
    kubeconfig: stack.kubernetes.kubeconfig(),
    version: 'test',
    clock: systemClock,
    random: Math.random,
  });
  client = createClient(transport);
  await installCrd(stack.kubernetes);
  namespace = await stack.kubernetes.createNamespace('status');
  resources = createResources({
    client,
    images: createStore<GlanceImage>({ log: silentLogger }),
    secrets: { lastVersion: () => undefined, currentVersion: () => undefined },
    events: { record() {}, async run() {} },
    log: silentLogger,
  });
  resource = await create('any', { cloud });
});

after(async () => {
  await transport?.close();
  await stack?.kubernetes.request('DELETE', `/api/v1/namespaces/${namespace}`);
  await stack?.stop();
});

async function create(name: string, spec: unknown, annotations: Record<string, string> = {}): Promise<GlanceImage> {
  const metadata = { name, namespace, annotations };
  const path = `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
  const answer = await stack.kubernetes.request('POST', path, { apiVersion, kind, metadata, spec });
  return parseGlanceImage(answer.ok().json);
}

/** The status as the API server returns it after it was applied. */
async function applied({ metadata }: GlanceImage, status: unknown): Promise<GlanceImageStatus> {
  const { name, uid } = metadata;
  await client.applyStatus(glanceImageType, { metadata: { name, namespace, uid }, status }, never);
  const stored = await client.get(glanceImageType, { name, namespace }, never);
  assert(stored !== undefined);
  return stored.status;
}

describe('the API server', () => {
  test('the API server admits every sanitised status, and returns it as it was written', async () => {
    const property = fc.asyncProperty(anyStatus, async (value) => {
      const status = sanitise(value);
      assert.deepEqual(await applied(resource, status), status);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test('the API server admits the status of every report, and returns it as it was written', async () => {
    const property = fc.asyncProperty(anyReport, async (report) => {
      const status = statusOf(report);
      assert.deepEqual(await applied(resource, status), status);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test('the API server reads any JSON of an apply as the same JSON', async () => {
    const { image } = sanitise(fullStatus);
    const property = fc.asyncProperty(anyJson, async (json) => {
      const wanted: unknown = JSON.parse(JSON.stringify(wellFormed(json)) ?? 'null');
      // An apply of null, which an infinite number is in JSON, too, removes the property.
      if (wanted === null) return;
      const status = { observedGeneration: 1, image: { ...image, properties: { json } } };
      const properties = (await applied(resource, status)).image?.properties;
      assert.deepEqual(rounded(properties), { json: wanted });
    });
    await fc.assert(property, { numRuns: 150 });
  });
});

/** Integers beyond 2^53 are read with all of their digits. */
function rounded(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rounded(item)]));
}

/** As UTF-8 has it, which knows no half of a surrogate pair. */
function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (Array.isArray(value)) return value.map(wellFormed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), wellFormed(item)]));
}

describe('what others say', () => {
  const fresh: GlanceImageStatus = { observedGeneration: -1 };
  const seen = (fields: Partial<Image>): Report => reportOf(imageOf(fields), { kind: 'converged' });
  const failed = (message: string, options: { httpStatus?: number; ms?: number }): Report => {
    const error = new OperatorError(message, {
      code: 'SourceUnavailable',
      retryAfterMs: options.ms,
      httpStatus: options.httpStatus ?? 503,
    });
    return { memory: promotes(imageOf()), changes: [], end: { kind: 'failed', error } };
  };
  const hostileTexts = [
    '\u007f',
    '\u0092',
    '\u0085',
    '\ufffe',
    '\uffff',
    '\ud83d',
    '\udc00x',
    '\u0000',
    '\ufeff',
    '\u2028',
  ];
  const codePoint = (text: string) =>
    [...text].map((one) => `U+${one.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}`).at(0);
  const dateOf9999 = retryAfterMs('Fri, 31 Dec 9999 23:59:59 GMT', moment.now);

  const rows: { what: string; report: Report; shown: (status: GlanceImageStatus) => unknown }[] = [
    ...hostileTexts.map((text) => ({
      what: `a property, a tag and a name with ${codePoint(text)}`,
      report: seen({ name: text, tags: [text], properties: { [`key${text}`]: text, list: [text] } }),
      shown: ({ image }: GlanceImageStatus) => Object.keys(image?.properties ?? {}).length === 2,
    })),
    {
      what: 'a message that is cut inside an emoji',
      report: failed(`x${'😀'.repeat(5000)}`, {}),
      shown: ({ lastError }) => lastError?.message.endsWith('😀…'),
    },
    {
      what: 'the HTTP status 999',
      report: failed('the firewall returned 999', { httpStatus: 999 }),
      shown: ({ lastError }) => lastError?.httpStatus === 999,
    },
    {
      what: 'a redirect to a path of more than 2048 characters',
      report: {
        ...seen({}),
        content: { imageID: imageOf().id, url: `https://example.com/${'x'.repeat(3000)}`, digest: 'sha256:00' },
      },
      shown: ({ content }) => content?.url?.length === 2048,
    },
    {
      what: 'a virtual size beyond 2^53',
      report: seen({ virtualSize: 2 ** 62 }),
      shown: ({ image }) => image?.virtualSize === Number.MAX_SAFE_INTEGER,
    },
    {
      what: 'a Retry-After in the year 9999',
      report: failed('maintenance', { ms: dateOf9999 ?? Number.NaN }),
      shown: ({ nextAttemptTime }) => nextAttemptTime === '2026-01-02T01:00:00Z',
    },
    {
      what: '-0 and __proto__ in properties',
      report: seen({ properties: JSON.parse('{"a": -0, "b": [-0], "__proto__": "x"}') }),
      shown: ({ image }) => image?.propertiesNotShown === 1,
    },
    {
      what: '900 KiB of properties',
      report: seen({
        properties: Object.fromEntries(Array.from({ length: 90 }, (_, at) => [`p${at}`, 'x'.repeat(10_240)])),
      }),
      shown: ({ image }) => (image?.propertiesNotShown ?? 0) > 70,
    },
  ];
  for (const { what, report, shown } of rows) {
    test(`${what} makes a status that is admitted once and then not written again`, async () => {
      const status = summarise(report, fresh, moment);
      assert(shown(status), JSON.stringify(status));
      const stored = await applied(resource, status);
      assert.deepEqual(stored, status);
      const later = { ...moment, now: new Date('2026-01-02T00:10:00Z') };
      if (report.end.kind === 'converged')
        assert.deepEqual(summarise({ ...report, changes: [] }, stored, later), stored);
      const image = report.observed?.revisions[0]?.image;
      if (image !== undefined) assert(isAsSeen(image, stored.image));
    });
  }

  test('a spec with 900 KiB of properties gets its status, which has a part of them', async () => {
    const properties = Object.fromEntries(Array.from({ length: 90 }, (_, at) => [`p${at}`, 'x'.repeat(10_240)]));
    const large = await create('large', { cloud, image: { properties } });
    const status = summarise(seen({ properties }), fresh, moment);
    assert.deepEqual(await applied(large, status), status);
  });
});

describe('a status that the API server rejects', () => {
  const present = async () =>
    (await client.get(glanceImageType, { name: 'any', namespace }, never)) ?? assert.fail('it is gone');
  const status = { ...sanitise(fullStatus), observedGeneration: 7 };

  test('a status of another schema is replaced by one without what is only shown', async () => {
    const wrong = {
      ...status,
      image: { ...sanitise(fullStatus).image, tags: Array.from({ length: 2000 }, () => 't') },
    };
    await resources.writeStatus(await present(), JSON.parse(JSON.stringify(wrong)), never);
    const stored = await client.get(glanceImageType, { name: 'any', namespace }, never);
    assert.partialDeepStrictEqual(stored?.status, { observedGeneration: 7, operation: status.operation });
    assert.match(
      stored?.status.conditions?.[0]?.message ?? '',
      /cannot be shown in full.*422 Invalid.*status\.image\.tags/,
    );
  });

  test('a status that is too large for etcd is replaced by one with the reason', async () => {
    const properties = { large: 'x'.repeat(1_600_000) };
    const wrong = { ...status, image: { ...fullStatus.image, properties } };
    await resources.writeStatus(await present(), JSON.parse(JSON.stringify(wrong)), never);
    const stored = await client.get(glanceImageType, { name: 'any', namespace }, never);
    assert.match(stored?.status.conditions?.[0]?.message ?? '', /too large/);
  });
});
