/**
 * Keystone v3: credentials in, a token out. Law: what Keystone refuses comes back in its words and without our secrets, whatever
 * it echoes; it is found where `auth_url` leads, on that host and no other, whatever it says of its own address.
 */
import { z } from 'zod';
import { type OperatorError, retry } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import { type Catalog, catalogSchema } from './catalog.ts';
import type { KeystoneLogin } from './clouds-auth.ts';
import { authenticationRequest, secretOf } from './credentials.ts';
import { keystoneRoot } from './discovery.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  HttpFailure,
  KeystoneUnavailable,
  KeystoneUnreachable,
  MalformedResponse,
  quoteFailure,
} from './errors.ts';
import type { HttpResponse, Transport } from './exchange.ts';
import { parseJson } from './json.ts';
import { newRequestId } from './request-id.ts';
import { failureOf, jsonOf, redactSecrets } from './response.ts';
import { classify, type RetryContext, withRetries } from './retry.ts';

/** Who Keystone says we are, and what the token is good for. */
export interface Identity {
  user: { id: string; name: string } | undefined;
  /** Undefined where the token is not scoped to a project. */
  project: { id: string; name: string } | undefined;
  scope: 'project' | 'domain' | 'system' | 'none';
  roles: string[];
}

export interface Token {
  id: SecretString;
  identity: Identity;
  catalog: Catalog;
}

export interface NewToken {
  token: Token;
  /** By the server's own two times, in milliseconds: a wrong wall clock on either side does no harm. */
  lifeMs: number;
}

export interface KeystoneOptions extends RetryContext {
  /** For messages: `the credentials of cloud demo`. */
  whose: string;
  login: KeystoneLogin;
  transport: Transport;
  timeoutMs: number | undefined;
}

/** Throws AuthenticationFailed, KeystoneUnreachable or KeystoneUnavailable, and the signal's reason when it aborts. */
export type SignIn = () => Promise<NewToken>;

/** For one try of a request, where clouds.yaml sets no api_timeout. */
const deadlineMs = 30_000;
/** A catalog with dozens of services in dozens of regions stays well below. */
const tokenLimitBytes = 4 * 1024 * 1024;
const versionsLimitBytes = 256 * 1024;

export function createSignIn(options: KeystoneOptions): SignIn {
  const { login, transport, signal } = options;
  const { authUrl, credentials } = login;
  let found: { root: string; isSure: boolean } | undefined;

  async function exchange(requestId: string, leftMs: number): Promise<HttpResponse> {
    const end = options.clock.monotonic() + Math.min(options.timeoutMs ?? deadlineMs, leftMs);
    const ask = async (method: 'GET' | 'POST', url: string, bodyLimitBytes: number, body?: string) => {
      const answer = await transport.request({
        method,
        url,
        requestId,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body }),
        deadlineMs: end - options.clock.monotonic(),
        bodyLimitBytes,
        signal,
      });
      // What is no JSON may come to be quoted too.
      const quotable = answer.status >= 300 || parseJson(answer.text) === undefined;
      const clean = quotable ? redactSecrets(answer, [secretOf(credentials)]) : answer;
      if (isBusy(clean)) throw failureOf(method, url, clean, options.clock);
      return clean;
    };
    // What is not sure, such as a page about maintenance in its place, is looked at again the next time.
    if (found?.isSure !== true) found = keystoneRoot(authUrl, await ask('GET', authUrl, versionsLimitBytes));
    const url = `${found.root}/auth/tokens`;
    const answer = await ask('POST', url, tokenLimitBytes, JSON.stringify(authenticationRequest(credentials)));
    if (answer.status < 300) return answer;
    throw failureOf('POST', url, answer, options.clock);
  }

  return async () => {
    const requestId = newRequestId();
    try {
      // A token more or less is no harm: the request may be repeated freely.
      const response = await withRetries(options, {
        once: (leftMs) => exchange(requestId, leftMs),
        verdict: (error) => classify(error, true),
        hasUntried: () => false,
      });
      return readToken(response);
    } catch (error) {
      signal.throwIfAborted();
      throw translated(error, options, found?.isSure === true);
    }
  };
}

/** Not now, whatever was asked. */
function isBusy({ status }: HttpResponse): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504;
}

/** `isKeystone`: it told its address itself, so that a 404 is about what the credentials name: a token, a trust. */
function translated(error: unknown, { whose, login }: KeystoneOptions, isKeystone: boolean): unknown {
  const unusable = (problem: string, cause: OperatorError) =>
    new KeystoneUnavailable(`no usable Keystone at ${login.authUrl}: ${problem}`, retry.backoff, cause);
  if (error instanceof ConnectionFailed) return new KeystoneUnreachable(error);
  if (error instanceof MalformedResponse) return unusable(error.message, error);
  if (!(error instanceof HttpFailure)) return error;
  const { status, serverMessage } = error;
  const said = quoteFailure(error);
  if ([400, 401, 403].includes(status) || (status === 404 && isKeystone)) {
    // A 401 that is half a yes: the method was right, and another one is asked for besides.
    const advice = serverMessage.includes('required_auth_methods') ? `; ${severalMethods}` : '';
    return new AuthenticationFailed(`Keystone answered ${whose} with ${said}${advice}`, error);
  }
  if (status < 400 || status === 404 || status === 405) {
    return unusable(`it answered ${said}; is auth_url the address of a Keystone with the v3 API?`, error);
  }
  return new KeystoneUnavailable(`Keystone answered ${said}`, error.retry, error);
}

const severalMethods =
  'this user must sign in by several methods: use an application credential (auth_type v3applicationcredential)';

const nameAndId = z.object({ id: z.string(), name: z.string() });
const tokenSchema = z.object({
  token: z.object({
    issued_at: z.iso.datetime({ offset: true }),
    expires_at: z.iso.datetime({ offset: true }),
    user: nameAndId,
    project: nameAndId.optional(),
    domain: nameAndId.optional(),
    system: z.looseObject({}).optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    catalog: catalogSchema.default([]),
  }),
});

function readToken(response: HttpResponse): NewToken {
  const body = tokenSchema.safeParse(jsonOf(response));
  const id = response.headers['x-subject-token'];
  if (!body.success || id === undefined) throw new MalformedResponse('its answer holds no token', response.requestId);
  const { issued_at, expires_at, user, project, domain, system, roles, catalog } = body.data.token;
  const scope = project ? 'project' : domain ? 'domain' : system ? 'system' : 'none';
  const identity: Identity = { user, project, scope, roles: roles.map((role) => role.name) };
  return {
    token: { id: new SecretString(id), identity, catalog },
    lifeMs: new Date(expires_at).getTime() - new Date(issued_at).getTime(),
  };
}
