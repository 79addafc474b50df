/**
 * Tokens of ServiceAccounts for the sign-ins of transfer threads: the main thread, which has the connection to the API server,
 * requests them.
 *
 * Guarantees: each request gets one response; those of a thread that has ended are cancelled.
 */
import { abortable } from '../lib/abort.ts';
import { SecretString } from '../lib/secret.ts';
import type { ServiceAccount } from '../openstack/credentials.ts';
import type { ServiceAccountTokens } from '../openstack/service-account.ts';
import { decodeError, type EncodedError, encodeError } from './error-codec.ts';

export interface TokenWish {
  kind: 'wantToken';
  id: number;
  account: ServiceAccount;
  audience: string;
}

export interface TokenResponse {
  kind: 'token';
  id: number;
  outcome: { token: string } | { error: EncodedError };
}

export interface TokensOfThread {
  receive(wish: TokenWish): void;
  /** The thread has ended. */
  end(): void;
}

/** The main thread's side. */
export function serveTokens(tokens: ServiceAccountTokens, send: (response: TokenResponse) => void): TokensOfThread {
  const over = new AbortController();
  const { signal } = over;

  async function outcomeOf({ account, audience }: TokenWish): Promise<TokenResponse['outcome']> {
    try {
      return { token: (await tokens(account, audience, signal)).reveal() };
    } catch (error) {
      return { error: encodeError(error) };
    }
  }
  async function give(wish: TokenWish): Promise<void> {
    const outcome = await outcomeOf(wish);
    if (!signal.aborted) send({ kind: 'token', id: wish.id, outcome });
  }

  return { receive: (wish) => void give(wish), end: () => over.abort(new Error('the thread has ended')) };
}

export interface RemoteTokens {
  tokens: ServiceAccountTokens;
  receive(response: TokenResponse): void;
}

/** The side of the thread. */
export function createRemoteTokens(send: (wish: TokenWish) => void): RemoteTokens {
  const waiting = new Map<number, (outcome: TokenResponse['outcome']) => void>();
  let lastID = 0;
  return {
    async tokens(account, audience, signal) {
      const id = ++lastID;
      const { promise, resolve } = Promise.withResolvers<TokenResponse['outcome']>();
      waiting.set(id, resolve);
      try {
        send({ kind: 'wantToken', id, account, audience });
        const outcome = await abortable(promise, signal);
        if ('error' in outcome) throw decodeError(outcome.error);
        return new SecretString(outcome.token);
      } finally {
        waiting.delete(id);
      }
    },
    receive: ({ id, outcome }) => waiting.get(id)?.(outcome),
  };
}
