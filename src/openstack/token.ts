/**
 * Caches the token of a login.
 *
 * Guarantees: there is at most one request for a token at a time, and a caller that cancels does not cancel it for the others; a
 * token is renewed before it can expire during a call; while Keystone does not work, the token is used until it expires. Its life
 * is measured on our monotonic clock.
 */
import { abortable } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { AuthenticationFailed } from './errors.ts';
import type { SignIn, Token } from './keystone.ts';

export interface TokenOptions {
  /** The remaining life that the token should have. */
  lifeMs?: number;
  signal: AbortSignal;
}

export interface TokenSource {
  /** A token that is valid for another `lifeMs`, or for half of its whole life if that is shorter. Throws the errors of signing in. */
  current(options: TokenOptions): Promise<Token>;
  /** Call it when a service has rejected the token. It is not returned again. */
  reject(token: Token): void;
  /**
   * Call it when the catalog in the token may be out of date. Another token is requested at the next use; this one serves while
   * Keystone does not work.
   */
  renew(token: Token): void;
}

/** A call takes seconds, with retries up to two minutes. */
const defaultLifeMs = 120_000;
/** How long rejected credentials are not used again. A thousand resources with the same wrong password must not lock the account. */
const rejectionMs = 30_000;
/** How long a token that could not be renewed is used before the next attempt. */
const outageMs = 30_000;

interface Held {
  kind: 'held';
  token: Token;
  /** The whole life, and its end on our clock. */
  lifeMs: number;
  expires: number;
  /** Until then it is used even if little of its life is left. */
  keepUntil: number;
  /** Its catalog may be out of date. */
  isOutdated: boolean;
}

type State =
  | { kind: 'none' }
  | { kind: 'requested'; response: Promise<Token> }
  | Held
  | { kind: 'rejected'; error: AuthenticationFailed; until: number };

export function createTokenSource(signIn: SignIn, clock: Clock): TokenSource {
  let state: State = { kind: 'none' };

  async function request(earlier: Held | undefined): Promise<Token> {
    try {
      const { token, lifeMs } = await signIn();
      const now = clock.monotonic();
      state = { kind: 'held', token, lifeMs, expires: now + lifeMs, keepUntil: now, isOutdated: false };
      return token;
    } catch (error) {
      const now = clock.monotonic();
      if (error instanceof AuthenticationFailed) {
        state = { kind: 'rejected', error, until: now + rejectionMs };
      } else if (earlier !== undefined && now < earlier.expires) {
        state = { ...earlier, keepUntil: now + outageMs, isOutdated: false };
        return earlier.token;
      } else {
        state = { kind: 'none' };
      }
      throw error;
    }
  }

  return {
    async current({ signal, lifeMs = defaultLifeMs }) {
      signal.throwIfAborted();
      const now = clock.monotonic();
      if (state.kind === 'held' && !state.isOutdated) {
        const left = state.expires - now;
        if (left > Math.min(lifeMs, state.lifeMs / 2) || (left > 0 && now < state.keepUntil)) return state.token;
      }
      if (state.kind === 'rejected' && now < state.until) throw state.error;
      if (state.kind === 'requested') return abortable(state.response, signal);
      const response = request(state.kind === 'held' ? state : undefined);
      state = { kind: 'requested', response };
      return abortable(response, signal);
    },
    reject(token) {
      if (state.kind === 'held' && state.token === token) state = { kind: 'none' };
    },
    renew(token) {
      if (state.kind === 'held' && state.token === token) state = { ...state, isOutdated: true };
    },
  };
}
