/** A name that DNS moves to another address of this network is another server, although its origin is the same. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import type { Resolve } from '../../src/http/resolve-host.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { download } from './download.ts';
import { listen } from './server.ts';

const file = Buffer.from('a page of this network: password=hunter2');
const half = file.length / 2;

/** Sends the first half of a file of this length, and breaks off. */
const author: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-length': file.length, etag: '"author"' });
  response.write(Buffer.alloc(half, 'X'), () => response.destroy());
};

function inside(etag: string): RequestListener {
  return (request, response) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const range = `bytes ${from}-${file.length - 1}/${file.length}`;
    response.writeHead(206, { 'content-range': range, 'content-length': file.length - from, etag });
    response.end(file.subarray(from));
  };
}

const first = createServer(author);
let second: Server;
let port: number;
before(async () => {
  port = await listen(first);
  second = createServer();
  await new Promise<void>((done) => second.listen(port, '::1', done));
});
after(() => {
  for (const server of [first, second]) server.close();
});

/** From the author's address at first, and from the other one after that. */
async function get(etag: string, allow = ['127.0.0.0/8', '::1']) {
  second.removeAllListeners('request').on('request', inside(etag));
  let lookups = 0;
  const resolve: Resolve = (_host, _options, done) =>
    done(null, [lookups++ === 0 ? { address: '127.0.0.1', family: 4 } : { address: '::1', family: 6 }]);
  const transport = createSourceTransport(createEgressPolicy({ allow, deny: [] }, resolve));
  const result = await download([`http://author.example:${port}/file`], { servers: [], transport, hasDigest: true });
  await transport.close();
  return result;
}

test('a download does not go on at another address of the same name without an equal strong entity tag', async () => {
  const { bytes, error } = await get('"inside"');
  assert.match(String(error), /does not prove by a strong entity tag/);
  assert.equal(bytes.length, half);
});

test('a download goes on at another address of the same name that has an equal strong entity tag', async () => {
  const { bytes, error } = await get('"author"');
  assert.equal(error, undefined);
  assert.equal(bytes.length, file.length);
});

test('a download goes on at another address of a name that the installation allows, and leaves the decision to the digest', async () => {
  const { bytes, error, source } = await get('"inside"', ['author.example']);
  assert.equal(error, undefined);
  assert.equal(bytes.length, file.length);
  assert.equal(source?.isSpliced, true);
});

test('a connection that is kept has the address that it was made to, whatever its name resolves to later', async () => {
  second.removeAllListeners('request').on('request', (_request, response) => response.end('inside'));
  first.removeAllListeners('request').on('request', (_request, response) => response.end('author'));
  let lookups = 0;
  const resolve: Resolve = (_host, _options, done) =>
    done(null, [lookups++ === 0 ? { address: '127.0.0.1', family: 4 } : { address: '::1', family: 6 }]);
  const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.0/8', '::1'], deny: [] }, resolve));
  const url = new URL(`http://author.example:${port}/file`);
  const connections = [transport.keep?.('kept'), transport.keep?.('kept')];
  const seen = [];
  for (const connection of [...connections, ...connections]) {
    const response = await connection?.get(url, {}, new AbortController().signal);
    let text = '';
    for await (const chunk of response?.body ?? []) text += chunk;
    seen.push([text, response?.peer, connection?.responses]);
  }
  await transport.close();
  assert.deepEqual(seen, [
    ['author', '127.0.0.1', 1],
    ['inside', '::1', 1],
    ['author', '127.0.0.1', 2],
    ['inside', '::1', 2],
  ]);
});
