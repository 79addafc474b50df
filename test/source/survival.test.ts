/** Whatever servers do, in whatever order: the bytes of the file, in order, each once, or an error with a name. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { isReason } from '../../src/api/reasons.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, type SourceFault, type SourceFile, startSource } from '../env/source.ts';
import { assertHungUp, download, loopback } from './download.ts';

const size = 20_000;
const content = generated(size);
const file = content.slice(0, size);
const changed = generated(size, 'changed');
const longer = generated(size + 1, 'longer');

const transport = loopback();
let servers: Server[];
before(async () => {
  servers = await Promise.all([startSource(), startSource(), startSource()]);
});
after(async () => {
  await transport.close();
  await Promise.all(servers.map((server) => server.stop()));
});

const byte = fc.oneof(fc.constantFrom(0, 1, size / 2, size - 1, size), fc.nat(size));
const breaks: fc.Arbitrary<SourceFault> = fc.record({
  kind: fc.constantFrom('resetAt' as const, 'closeAt' as const, 'stallAt' as const),
  byte,
});
const refusals: fc.Arbitrary<SourceFault> = fc.oneof(
  fc.constantFrom(500, 503, 429, 404, 403, 416, 204, 206, 304).map((status) => ({ kind: 'answer' as const, status })),
  fc.constant({ kind: 'never-answers' as const }),
  fc.constant({ kind: 'redirect' as const, to: '/elsewhere' }),
);
/** A server that has, or says that it has, something else by now. */
const oddities: fc.Arbitrary<SourceFault> = fc
  .constantFrom<Partial<SourceFile>>(
    { body: changed, etag: '"changed"' },
    { body: changed, etag: '"changed"', ranges: false },
    { body: changed, etag: '"changed"', ranges: 'ignoring If-Range' },
    { body: longer, etag: '"longer"' },
    { body: longer, ranges: 'ignoring If-Range' },
    { headers: { 'content-range': `bytes 5-${size - 1}/${size}` } },
    { headers: { 'content-encoding': 'gzip' } },
    { etag: null },
    { contentLength: 'none' },
    { longestRange: 3000 },
    { ranges: false },
  )
  .map((served) => ({ kind: 'instead', file: served }));

/** A server of the file; its validator may differ from those of others. */
const served = fc.record({
  etag: fc.constantFrom('"one"', '"one"', '"own"', null, 'W/"weak"'),
  contentLength: fc.constantFrom('right' as const, 'none' as const),
  ranges: fc.constantFrom<NonNullable<SourceFile['ranges']>[]>(true, true, false, 'ignoring If-Range'),
  faults: fc.array(
    fc.oneof({ weight: 5, arbitrary: breaks }, refusals, { weight: 3, arbitrary: oddities }, fc.constant(null)),
    { maxLength: 8 },
  ),
});

let count = 0;
async function run(files: readonly Partial<SourceFile>[], hasDigest: boolean) {
  const path = `/${++count}.raw`;
  for (const server of servers) server.add('/elsewhere', { body: content, etag: '"one"' });
  const [url = '', ...mirrors] = files.map((one, at) => servers[at]?.add(path, { body: content, ...one }) ?? '');
  const result = await download([url, ...mirrors], { servers, transport, hasDigest });
  await assertHungUp(servers);
  return result;
}

describe('a download', () => {
  test('a download gives the bytes of one version in order, or ends with a classified error', async () => {
    let whole = 0;
    let resumed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(served, { minLength: 1, maxLength: 3 }), fc.boolean(), async (files, hasDigest) => {
        const { bytes, error, source, resumes } = await run(files, hasDigest);
        if (error !== undefined) assert.ok(error instanceof OperatorError && isReason(error.code), String(error));
        // A joined download may be of two versions; that is what the digest is for.
        if (source?.isSpliced) {
          assert.ok(hasDigest);
          return;
        }
        const versions = [file, changed.slice(0, size), longer.slice(0, size + 1)];
        assert.ok(
          versions.some((version) => bytes.equals(version.subarray(0, bytes.length))),
          'mixed bytes',
        );
        if (error !== undefined) return;
        assert.ok(
          versions.some((version) => bytes.equals(version)),
          `it ended after ${bytes.length} bytes`,
        );
        whole++;
        if (resumes.length > 0) resumed++;
      }),
      { seed: 2026, numRuns: 1000 },
    );
    assert.ok(whole > 50 && resumed > 25, `${whole} whole and ${resumed} resumed downloads prove little`);
  });

  test('a download with breaks and progress in between is complete', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('resetAt' as const, 'closeAt' as const, 'stallAt' as const), byte), {
          maxLength: 12,
        }),
        fc.constantFrom<Partial<SourceFile>>({}, { contentLength: 'none' }, { longestRange: 2500 }),
        async (places, kind) => {
          // Breaks that lie a window's worth of bytes apart.
          const rising = places.sort(([, a], [, b]) => a - b);
          const apart = rising.filter(([, at], index) => index === 0 || at - (rising[index - 1]?.[1] ?? 0) >= 1000);
          const faults = apart.map(([broken, at]) => ({ kind: broken, byte: at }));
          const { bytes, error } = await run([{ ...kind, faults }], false);
          assert.equal(error, undefined);
          assert.ok(bytes.equals(file));
        },
      ),
      { seed: 7, numRuns: 100 },
    );
  });
});
