/**
 * The program of flood.test.ts: a server that floods one field after another, and a client in the same small heap. Prints a
 * line of JSON for each case. Run with --max-old-space-size.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createImageClient } from '../../src/glance/client/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import type { Purpose } from '../../src/openstack/services.ts';
import { createSession } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { type Endpoint, endpoints, flooded, floods, type Json, pathsOf } from './flood-cases.ts';

/** Below the limits in bytes of most responses, so that the other limits have to hold. */
const fieldBytes = 1_900_000;
const wholeBytes = 15_000_000;

let hostile: { path: RegExp; body: string; status: number } | undefined;
let origin = '';
const honestOf = (path: string): Json => endpoints.find((each) => each.path.test(path))?.honest ?? {};

const server = createServer(async (request, response) => {
  for await (const _ of request);
  const path = new URL(request.url ?? '', 'http://a').pathname;
  const isHostile = hostile?.path.test(path) === true;
  const body = isHostile && hostile !== undefined ? hostile.body : JSON.stringify(honestOf(path));
  const status = isHostile && hostile !== undefined ? hostile.status : path.endsWith('/auth/tokens') ? 201 : 200;
  response.writeHead(status, { 'content-type': 'application/json', 'x-subject-token': 'a-token' });
  const tokens = JSON.stringify(`${origin}/oauth/token`);
  response.end(body.replaceAll('"URL"', JSON.stringify(`${origin}/v3`)).replaceAll('"TOKENS"', tokens));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('the server has no port');
origin = `http://127.0.0.1:${address.port}`;

const cloudsYaml = JSON.stringify({
  clouds: {
    a: {
      auth: { auth_url: `${origin}/v3`, username: 'u', password: 'a-password', project_id: 'p', user_domain_name: 'd' },
      image_connect_retries: 0,
    },
    federated: {
      auth_type: 'v3oidcclientcredentials',
      auth: {
        ...{ auth_url: `${origin}/v3`, identity_provider: 'i', protocol: 'p', project_id: 'p' },
        ...{ client_id: 'c', client_secret: 'a-client', discovery_endpoint: `${origin}/openid-configuration` },
      },
      image_connect_retries: 0,
    },
  },
});

async function attempt({ run, federated = false }: Endpoint, onRequest = (_: Purpose) => {}): Promise<string> {
  const cloud = parseCloud({ cloudsYaml }, federated ? 'federated' : 'a');
  const observe = ({ purpose }: { purpose: Purpose }) => onRequest(purpose);
  const transport = createTransport({ tls: cloud.tls, userAgent: 'test', clock: systemClock, observe });
  const session = createSession({ cloud, transport, clock: systemClock, random: () => 0.5 });
  try {
    await run({
      session,
      images: createImageClient(session, { useSchema: true }),
      signal: new AbortController().signal,
    });
    return 'accepted';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await session.close();
  }
}

for (const endpoint of endpoints) {
  const { name, path, honest } = endpoint;
  const status = name === 'sign-in' ? 201 : 200;
  const print = (line: object) => process.stdout.write(`${JSON.stringify({ endpoint: name, ...line })}\n`);
  const flood = async (kind: string, at: readonly (string | number)[], bytes: number, code = status) => {
    hostile = { path, body: flooded(honest, at, floods[kind]?.(bytes) ?? ''), status: code };
    print({ field: at.join('.'), kind, bytes, status: code, message: await attempt(endpoint) });
    hostile = undefined;
  };
  const sent: string[] = [];
  hostile = { path, body: JSON.stringify(honest), status };
  const message = await attempt(endpoint, ({ service, operation }) => sent.push(`${service}.${operation}`));
  hostile = undefined;
  print({ kind: 'honest', message, sent });
  for (const at of pathsOf(honest)) for (const kind of Object.keys(floods)) await flood(kind, at, fieldBytes);
  await flood('zeros', [], wholeBytes);
  await flood('zeros', [], wholeBytes, 400);
}
process.stdout.write(`${JSON.stringify({ origin })}\n`);
server.closeAllConnections();
server.close();
