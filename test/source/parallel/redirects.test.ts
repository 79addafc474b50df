/** A source that redirects the parts of a file to several servers, each in another way. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { test } from 'node:test';
import { createEgressPolicy } from '../../../src/http/egress.ts';
import { giveBack } from '../../../src/http/receive-buffers.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createChannels } from '../../../src/source/parallel/channels.ts';
import { createStripes } from '../../../src/source/parallel/stripes.ts';
import { createRangeReader } from '../../../src/source/ranges.ts';
import { createSourceTransport } from '../../../src/source/transport.ts';
import { generated } from '../../env/content.ts';
import { listen } from '../../openstack/stub.ts';

const stripeBytes = 2 ** 20;
const content = generated(6 * stripeBytes);
const { size } = content;

function rangeOf({ headers }: IncomingMessage): { from: number; to: number; number: number } {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  return { from: Number(first), to: Number(last) + 1, number: Math.floor(Number(last) / stripeBytes) };
}

test('the parts of a file come by each connection in their order, also after a failure and with more redirects for the first of them', async (t) => {
  const serve = async (handler: RequestListener) => `http://127.0.0.1:${await listen(t, createServer(handler))}`;
  const asked = new Map<string, number>();
  const times = (what: string) => {
    asked.set(what, (asked.get(what) ?? 0) + 1);
    return asked.get(what);
  };
  const thirdHasBegun = Promise.withResolvers<void>();
  const order: number[] = [];
  const head = ({ from, to }: { from: number; to: number }) => ({
    etag: '"1"',
    'content-range': `bytes ${from}-${to - 1}/${size}`,
    'content-length': to - from,
  });
  const main = await serve(async (request, response) => {
    const range = rangeOf(request);
    order.push(range.number);
    response.writeHead(206, head(range));
    const bytes = content.slice(range.from, range.to);
    if (range.number === 1 && times('main') === 1) {
      response.write(bytes.subarray(0, stripeBytes / 2));
      await thirdHasBegun.promise;
      request.socket.destroy();
    } else response.end(bytes);
  });
  const other = await serve((request, response) => {
    const range = rangeOf(request);
    if (range.number === 0) response.writeHead(302, { location: `${main}/file`, 'content-length': 0 }).end();
    else response.writeHead(206, head(range)).write(content.slice(range.from, range.from + stripeBytes / 4));
  });
  const origin = await serve((request, response) => {
    const { number } = rangeOf(request);
    const time = times(`part ${number}`);
    const leads = number === 0 || (number === 2 && time === 1) ? other : number === 2 && time === 2 ? origin : main;
    response.writeHead(302, { location: `${leads}/${time}`, 'content-length': 0 }).end();
  });
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
  t.after(() => transport.close());
  const { signal } = new AbortController();
  const file = {
    validators: { server: main, url: `${main}/file`, etag: '"1"', lastModified: undefined },
    size,
    endIsCertain: true,
  };
  const channels = createChannels({
    transport,
    signal,
    createReader: (connection) =>
      createRangeReader({
        urls: [`${origin}/file`],
        transport: connection,
        ...{ declared: {}, declaredFor: undefined, firstByteMs: 60_000, clock: systemClock, random: () => 0.5, signal },
        limits: { maxBytes: size, stallBytes: 1, stallWindowMs: 60_000 },
        onWarnings: () => {},
        known: () => ({ file, validators: new Map(), isPublic: false }),
      }),
  });
  let arrived = 0;
  const stripes = createStripes({
    openChannel: channels.open,
    ...{ from: 0, to: size, connections: () => 1 },
    stripeBytes: () => stripeBytes,
    heldBytes: () => 3 * stripeBytes,
    onArrival(bytes) {
      arrived += bytes;
      // Of the third part, by another connection: the second one has sent a half.
      if (arrived > 1.5 * stripeBytes) thirdHasBegun.resolve();
    },
  });
  let at = 0;
  for (let piece = await stripes.next(); piece !== undefined; piece = await stripes.next()) {
    assert(content.slice(at, at + piece.length).equals(piece), `byte ${at} and following`);
    at += piece.length;
    giveBack(piece);
  }
  assert.equal(at, size);
  assert.deepEqual(order, [0, 1, 1, 2, 3, 4, 5]);
});
