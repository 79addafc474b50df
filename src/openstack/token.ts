/**
 * Keystone v3 tokens. Law: one request at a time whoever asks, a token is renewed before it can expire under a call, and a
 * caller that gives up takes nothing away from the others that wait. Life is measured from the server's own two times on
 * our monotonic clock, so a wrong wall clock on either side does no harm.
 */
import { z } from 'zod';
import { abortable } from '../lib/abort.ts';
import { type OperatorError, retry } from '../lib/errors.ts';
import { SecretString } from '../lib/secret.ts';
import { failureOf, jsonOf } from './answer.ts';
import { type Catalog, catalogSchema } from './catalog.ts';
import type { CloudConfig } from './clouds.ts';
import { authenticationRequest } from './credentials.ts';
import {
  AuthenticationFailed,
  ConnectionFailed,
  HttpFailure,
  inTheirWords,
  KeystoneUnavailable,
  KeystoneUnreachable,
  UnreadableAnswer,
} from './errors.ts';
import { isPassing, type RetryContext, withRetries } from './retry.ts';
import type { HttpResponse, Transport } from './transport.ts';

/** Who Keystone says we are. */
export interface Identity {
  user: { id: string; name: string };
  /** Undefined where the token is not scoped to a project. */
  project: { id: string; name: string } | undefined;
  roles: string[];
}

export interface Token {
  id: SecretString;
  identity: Identity;
  catalog: Catalog;
}

export interface TokenSource {
  /** A token with some life left. Throws AuthenticationFailed, KeystoneUnreachable or KeystoneUnavailable. */
  current(signal: AbortSignal): Promise<Token>;
  /** A service has refused the token: it will not be given out again. */
  reject(token: Token): void;
  close(): void;
}

/** A token is renewed when it has less than this, or than half of its whole life, left. */
const renewalMarginMs = 120_000;
/**
 * How long refused credentials are not tried again: a thousand resources with the same wrong password must not lock the
 * account.
 */
const refusalMs = 30_000;
const authenticationDeadlineMs = 30_000;
/** A catalog with dozens of services in dozens of regions stays well below. */
const tokenLimitBytes = 4 * 1024 * 1024;

type State =
  | { kind: 'none' }
  | { kind: 'asking'; answer: Promise<Token> }
  | { kind: 'held'; token: Token; renewAt: number }
  | { kind: 'refused'; error: AuthenticationFailed; until: number };

export interface TokenSourceOptions extends Omit<RetryContext, 'signal'> {
  cloud: CloudConfig;
  transport: Transport;
}

export function createTokenSource({ cloud, transport, ...context }: TokenSourceOptions): TokenSource {
  const { clock } = context;
  const closed = new AbortController();
  let state: State = { kind: 'none' };

  async function ask(): Promise<Token> {
    try {
      const { token, lifeMs } = await authenticate(cloud, transport, { ...context, signal: closed.signal });
      const renewAt = clock.monotonic() + lifeMs - Math.min(renewalMarginMs, lifeMs / 2);
      state = { kind: 'held', token, renewAt };
      return token;
    } catch (error) {
      state =
        error instanceof AuthenticationFailed
          ? { kind: 'refused', error, until: clock.monotonic() + refusalMs }
          : { kind: 'none' };
      throw error;
    }
  }

  return {
    async current(signal) {
      signal.throwIfAborted();
      if (state.kind === 'held' && clock.monotonic() < state.renewAt) return state.token;
      if (state.kind === 'refused' && clock.monotonic() < state.until) throw state.error;
      if (state.kind === 'asking') return abortable(state.answer, signal);
      const answer = ask();
      state = { kind: 'asking', answer };
      return abortable(answer, signal);
    },
    reject(token) {
      if (state.kind === 'held' && state.token === token) state = { kind: 'none' };
    },
    close() {
      closed.abort(new Error(`the session with cloud ${cloud.name} is closed`));
    },
  };
}

async function authenticate(cloud: CloudConfig, transport: Transport, context: RetryContext) {
  const url = `${cloud.authUrl}/auth/tokens`;
  const body = JSON.stringify(authenticationRequest(cloud.credentials));
  try {
    // A token more or less is no harm: the request may be repeated freely.
    const response = await withRetries(
      context,
      (error) => isPassing(error, true),
      async (leftMs) => {
        const answer = await transport.request({
          method: 'POST',
          url,
          headers: { 'content-type': 'application/json' },
          body,
          deadlineMs: Math.min(cloud.apiTimeoutMs ?? authenticationDeadlineMs, leftMs),
          bodyLimitBytes: tokenLimitBytes,
          signal: context.signal,
        });
        if (answer.status >= 300) throw failureOf('POST', url, answer, context.clock);
        return answer;
      },
    );
    return readToken(response);
  } catch (error) {
    context.signal.throwIfAborted();
    throw translated(error, cloud);
  }
}

function translated(error: unknown, cloud: CloudConfig): unknown {
  if (error instanceof ConnectionFailed) return new KeystoneUnreachable(error);
  if (error instanceof UnreadableAnswer) return unusable(cloud, error.message, error);
  if (!(error instanceof HttpFailure)) return error;
  const said = inTheirWords(error);
  switch (error.status) {
    case 400:
    case 401:
    case 403:
      return new AuthenticationFailed(`Keystone answered the credentials of cloud ${cloud.name} with ${said}`, error);
    case 300:
    case 301:
    case 302:
    case 307:
    case 308:
    case 404:
    case 405:
      return unusable(cloud, `it answered ${said}; is auth_url the address of a Keystone with the v3 API?`, error);
    default:
      return new KeystoneUnavailable(`Keystone answered ${said}`, error.retry, error);
  }
}

function unusable(cloud: CloudConfig, problem: string, cause: OperatorError): KeystoneUnavailable {
  return new KeystoneUnavailable(`no usable Keystone at ${cloud.authUrl}: ${problem}`, retry.backoff, cause);
}

const nameAndId = z.object({ id: z.string(), name: z.string() });
const tokenSchema = z.object({
  token: z.object({
    issued_at: z.iso.datetime({ offset: true }),
    expires_at: z.iso.datetime({ offset: true }),
    user: nameAndId,
    project: nameAndId.optional(),
    roles: z.array(z.object({ name: z.string() })).default([]),
    catalog: catalogSchema.default([]),
  }),
});

function readToken(response: HttpResponse): { token: Token; lifeMs: number } {
  const body = tokenSchema.safeParse(jsonOf(response));
  const id = response.headers['x-subject-token'];
  if (!body.success || id === undefined) throw new UnreadableAnswer('its answer holds no token', response.requestId);
  const { issued_at, expires_at, user, project, roles, catalog } = body.data.token;
  const identity = { user, project, roles: roles.map((role) => role.name) };
  return {
    token: { id: new SecretString(id), identity, catalog },
    lifeMs: new Date(expires_at).getTime() - new Date(issued_at).getTime(),
  };
}
