/** Responses that no HTTP library can be made to send, from a plain socket. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openHttpSource } from '../../src/source/http.ts';
import { createSourceTransport } from '../../src/source/transport.ts';
import { failsWith, limits, listen, read } from './server.ts';

let response = '';
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', () => socket.end(response, 'latin1'));
});
const transport = createSourceTransport(createEgressPolicy({ allow: ['127.0.0.1'], deny: [] }));
let origin = '';
before(async () => {
  origin = `http://127.0.0.1:${await listen(server)}`;
});
after(async () => {
  await transport.close();
  server.close();
});

const ok = 'HTTP/1.1 200 OK\r\n';

async function bytesOf(sent: string): Promise<string> {
  response = sent;
  const source = await openHttpSource({
    urls: [`${origin}/f`],
    transport,
    clock: { ...systemClock, sleep: async () => undefined },
    random: () => 0.5,
    limits,
    hasDigest: true,
    signal: new AbortController().signal,
  });
  return (await read(source)).toString();
}

const lengths: [what: string, response: string][] = [
  ['said twice', `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nbytes`],
  ['said twice in one header', `${ok}Content-Length: 5, 5\r\n\r\nbytes`],
  ['next to chunks', `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n\r\n`],
];
for (const [what, sent] of lengths)
  test(`a length ${what} is read, or named as the problem`, async () => {
    const problem = failsWith('SourceInvalid', /content-length/i, 'after');
    try {
      assert.equal(await bytesOf(sent), 'bytes');
    } catch (error) {
      problem(error);
    }
  });

const invalid: [what: string, response: string][] = [
  ['two different lengths', `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nbytes`],
  ['lines that end with LF only', `${ok.replace('\r', '')}Content-Length: 5\n\nbytes`],
  ['a control character in a header', `${ok}X-A: a\x01b\r\nContent-Length: 5\r\n\r\nbytes`],
  ['a blank before the colon of a header', `${ok}X-A : b\r\nContent-Length: 5\r\n\r\nbytes`],
  ['a header of 20 KiB', `${ok}X-A: ${'a'.repeat(20_480)}\r\nContent-Length: 5\r\n\r\nbytes`],
  [
    '100 Continue, which the request did not ask for',
    `HTTP/1.1 100 Continue\r\n\r\n${ok}Content-Length: 5\r\n\r\nbytes`,
  ],
  [
    'an upgrade, which the request did not ask for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  ],
  ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n'],
  ['the status 000', 'HTTP/1.1 000 X\r\n\r\n'],
];
for (const [what, sent] of invalid)
  test(`a response with ${what} is invalid, and not a connection that failed`, async () => {
    await assert.rejects(bytesOf(sent), failsWith('SourceInvalid', /127\.0\.0\.1:\d+\/f/, 'after'));
  });

test('a redirect in raw UTF-8 is followed to the path that its bytes name', async () => {
  const raw = Buffer.from('/образ.raw', 'utf8').toString('latin1');
  const seen: string[] = [];
  server.on('connection', (socket) =>
    socket.once('data', (data) => seen.push(data.toString('latin1').split(' ')[1] ?? '')),
  );
  await assert.rejects(bytesOf(`HTTP/1.1 302 Found\r\nLocation: ${raw}\r\nContent-Length: 0\r\n\r\n`));
  assert.equal(seen[1], encodeURI('/образ.raw'));
});
