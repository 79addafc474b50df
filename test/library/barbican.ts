/**
 * A key manager for one test, with the responses of Barbican 23 for certificates.
 *
 * Invariant: castellan can read the same certificates from here as from Barbican.
 */
import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { reply, serve } from '../openstack/stub.ts';

export interface Barbican {
  /** Without the version, as the catalog would have it. */
  readonly url: string;
  /** `GET /v1/secrets/…` in order. */
  readonly requests: readonly string[];
  /** Stores a certificate's payload; returns the id. */
  store(payload: string | Uint8Array): string;
  /** A fixed response to the next requests instead of the regular one; undefined for the regular one. */
  misbehave(how: ((response: ServerResponse) => void) | undefined): void;
}

const refuse = (response: ServerResponse, code: number, title: string, description: string) =>
  reply(response, code, { code, title, description }, { 'x-openstack-request-id': 'req-barbican' });

export async function startBarbican(t: TestContext): Promise<Barbican> {
  const secrets = new Map<string, { payload: Buffer; type: string }>();
  const requests: string[] = [];
  let special: ((response: ServerResponse) => void) | undefined;

  const url = await serve(t, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (special !== undefined) return special(response);
    if (request.url === '/') return reply(response, 300, { versions: { values: [{ id: 'v1', status: 'stable' }] } });
    const { accept = '*/*', 'x-auth-token': token } = request.headers;
    if (token === undefined) return refuse(response, 401, 'Unauthorized', 'Authentication required');
    const [, id = '', payload] = /^\/v1\/secrets\/([^/]+)(\/payload)?$/.exec(request.url ?? '') ?? [];
    const secret = secrets.get(id);
    if (secret === undefined) return refuse(response, 404, 'Not Found', 'Secret not found.');
    if (payload === undefined) {
      return reply(response, 200, {
        name: 'certificate',
        secret_type: 'certificate',
        status: 'ACTIVE',
        created: '2026-01-01T00:00:00.000000',
        updated: '2026-01-01T00:00:00.000000',
        content_types: { default: secret.type },
        secret_ref: `http://${request.headers.host}/v1/secrets/${id}`,
      });
    }
    // Not only of the secret's own type: bytes of everything, text of what is text, and nothing else.
    if (accept !== 'application/octet-stream' && (accept !== 'text/plain' || secret.type !== 'text/plain')) {
      const words = 'Secret payload retrieval issue seen - Wrong payload content-type.';
      return refuse(response, 406, 'Not Acceptable', words);
    }
    response.writeHead(200, { 'content-type': accept }).end(secret.payload);
  });

  return {
    url,
    requests,
    store(payload) {
      const id = randomUUID();
      const type = typeof payload === 'string' ? 'text/plain' : 'application/octet-stream';
      secrets.set(id, { payload: Buffer.from(payload), type });
      return id;
    },
    misbehave(how) {
      special = how;
    },
  };
}
