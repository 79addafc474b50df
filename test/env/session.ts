/**
 * A user with a Keystone session who calls the cloud's services.
 *
 * Invariant: a token is requested when it is first needed and again when a service rejects it; nothing else is
 * repeated.
 */
import { Readable } from 'node:stream';
import { z } from 'zod';
import { type Answer, ask } from './http.ts';

export interface Credentials {
  authUrl: string;
  username: string;
  password: string;
  /** Id of the project in whose name they act. */
  project: { id: string } | { name: string };
}

const tokenSchema = z.object({ token: z.object({ user: z.object({ id: z.string() }) }) });

export class Session {
  readonly #credentials: Credentials;
  #token: Promise<string> | undefined;

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** A valid token, scoped to the project. */
  token(): Promise<string> {
    this.#token ??= signIn(this.#credentials).catch((error) => {
      this.#token = undefined;
      throw error;
    });
    return this.#token;
  }

  /** A request with this session's token. A 401, except to a stream, is followed by one request with a new token. */
  async ask(method: string, url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const withToken = async () => {
      return ask(method, url, { body, headers: { ...headers, 'x-auth-token': await this.token() } });
    };
    const answer = await withToken();
    if (answer.status !== 401 || body instanceof Readable) return answer;
    this.#token = undefined;
    return withToken();
  }

  /**
   * A request to Glance. Bytes and streams go as image data, a PATCH as the JSON patch that Glance expects, anything
   * else as JSON.
   */
  image(imageUrl: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const bytes = Buffer.isBuffer(body) || body instanceof Readable;
    const type = bytes
      ? 'application/octet-stream'
      : method === 'PATCH'
        ? 'application/openstack-images-v2.1-json-patch'
        : undefined;
    return this.ask(method, `${imageUrl}${path}`, body, type === undefined ? {} : { 'content-type': type });
  }
}

async function signIn({ authUrl, username, password, project }: Credentials): Promise<string> {
  const domain = { id: 'default' };
  const scope = 'id' in project ? { project } : { project: { ...project, domain } };
  const identity = { methods: ['password'], password: { user: { name: username, domain, password } } };
  const answer = await ask('POST', `${authUrl}/auth/tokens`, { body: { auth: { identity, scope } } });
  answer.as(tokenSchema);
  const token = answer.headers['x-subject-token'];
  if (typeof token !== 'string') throw new Error('Keystone responded without a token');
  return token;
}
