/** Parts of a file that is downloaded, from servers that fail as real ones do. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openHttpSource } from '../../src/source/http.ts';
import type { Source as Opened, RangeReader } from '../../src/source/source.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { generated } from '../env/content.ts';
import { type Source as Server, type SourceFile, startSource } from '../env/source.ts';
import { patience } from '../env/wait.ts';
import { failsWith } from './server.ts';

const size = 200_000;
const content = generated(size);
const other = generated(size, 'another file');
const clock = { ...systemClock, sleep: async () => {} };
const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.0/8'], deny: [] }));
const publicly: typeof transport = {
  ...transport,
  get: async (...request) => ({ ...(await transport.get(...request)), isPublic: true }),
};
let servers: [Server, Server];
before(async () => {
  servers = [await startSource(), await startSource()];
});
after(async () => {
  await transport.close();
  await Promise.all(servers.map((server) => server.stop()));
});

let count = 0;

/** Opens a file of the first server, with the second one as a mirror if there are two files. */
function open(...files: Partial<SourceFile>[]) {
  return openBy(publicly, files);
}

async function openBy(
  by: typeof transport,
  files: Partial<SourceFile>[],
): Promise<Opened & { ranges: RangeReader; asked: () => string[] }> {
  const path = `/${++count}.qcow2`;
  const [url = '', ...mirrors] = files.map((served, at) => servers[at]?.add(path, { body: content, ...served }) ?? '');
  const source = await openHttpSource({
    urls: [url, ...mirrors],
    transport: by,
    clock,
    random: () => 0.5,
    hasDigest: true,
    limits: { maxBytes: 10_000_000, stallBytes: 1000, stallWindowMs: 60_000 },
    signal: patience(),
  });
  const requests = () => servers.flatMap((server) => server.requests).filter((request) => request.path === path);
  const asked = () => requests().flatMap(({ range }) => range ?? []);
  return { ...source, ranges: source.ranges ?? assert.fail(), asked };
}

async function read(ranges: RangeReader, from: number, to: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of ranges.read(from, to)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const assertPart = (part: Buffer, from: number, to: number) => assert.ok(part.equals(content.slice(from, to)));

test('parts of a file are read while it is downloaded, in any order, one request each', async () => {
  const { ranges, asked, body } = await open({});
  const parts = [
    [100_000, 150_000],
    [0, 1],
    [199_000, 200_000],
  ] as const;
  for (const [from, to] of parts) assertPart(await read(ranges, from, to), from, to);
  assert.deepEqual(asked(), ['bytes=100000-149999', 'bytes=0-0', 'bytes=199000-199999']);
  let length = 0;
  for await (const chunk of body) length += chunk.length;
  assert.deepEqual([length, ranges.size()], [size, size]);
});

test('the length of a file without one is known after a part of it was read', async () => {
  const { ranges, size: announced } = await open({ contentLength: 'none' });
  assert.equal(announced, undefined);
  assertPart(await read(ranges, 0, 100), 0, 100);
  assert.equal(ranges.size(), size);
});

test('a part continues at its next byte after the connection broke', async () => {
  const { ranges, asked } = await open({
    faults: [null, { kind: 'resetAt', byte: 70_000 }, { kind: 'closeAt', byte: 85_000 }],
  });
  assertPart(await read(ranges, 50_000, 100_000), 50_000, 100_000);
  const starts = asked().map((range) => Number(/=(\d+)-99999$/.exec(range)?.[1]));
  assert.equal(starts.length, 3);
  assert.ok(
    starts.every((start, index) => index === 0 || start > (starts[index - 1] ?? size)),
    String(starts),
  );
});

test('a server that sends less than was requested gets a request for the rest, and is given up when it sends next to nothing', async () => {
  const { ranges, asked } = await open({ longestRange: 20_000 });
  assertPart(await read(ranges, 0, 100_000), 0, 100_000);
  assert.equal(asked().length, 5);
  const stingy = await open({ longestRange: 10 });
  await assert.rejects(read(stingy.ranges, 0, 100_000), failsWith('SourceTooShort', /only/));
  assert.ok(stingy.asked().length < 10);
});

for (const [what, file] of [
  ['sends the whole file', { ranges: false }],
  ['rejects the request', { faults: [null, { kind: 'answer', status: 416 }] }],
  ['forbids parts of a file', { faults: [null, { kind: 'answer', status: 403 }] }],
] as const)
  test(`a server that ${what} in place of a part has no ranges, and the next address is tried`, async () => {
    const alone = await open(file);
    await assert.rejects(
      read(alone.ranges, 10, 20),
      failsWith('ConversionNeedsRanges', /responds with \d+ to a request for a part of a file/),
    );
    const { ranges } = await open(file, {});
    assertPart(await read(ranges, 10, 20), 10, 20);
  });

test('a part of a file of another length, or of a later date, is not used', async () => {
  const longer = await open({ faults: [null, { kind: 'instead', file: { body: generated(size + 1) } }] });
  await assert.rejects(read(longer.ranges, 10, 20), failsWith('SourceChanged', /bytes, where the file had/));
  const dated = (day: number) => ({ headers: { 'last-modified': `Mon, 0${day} Jan 2026 10:00:00 GMT` } });
  const later = { kind: 'instead', file: { body: other, ...dated(6) } } as const;
  const { ranges } = await open({ ...dated(5), faults: [null, later] });
  await assert.rejects(read(ranges, 10, 20), failsWith('SourceChanged', /another version/));
});

test('a part from an address of this network is used only with an equal strong entity tag, because the name of a public server can move there', async () => {
  const moving: typeof transport = {
    ...transport,
    get: async (url, headers, signal) => ({
      ...(await transport.get(url, headers, signal)),
      isPublic: headers['range'] === undefined,
    }),
  };
  const tagged = await openBy(moving, [{ etag: '"its own"' }]);
  assertPart(await read(tagged.ranges, 10, 20), 10, 20);
  const { ranges } = await openBy(moving, [{ etag: null }]);
  await assert.rejects(read(ranges, 10, 20), failsWith('SourceChanged', /does not prove by a strong entity tag/));
});

test('a reader that stops early closes the connection', async () => {
  const { ranges, body } = await open({});
  for await (const _ of ranges.read(0, size)) break;
  for await (const _ of body) break;
  while ((await servers[0].connections()) > 0) await new Promise(setImmediate);
});
