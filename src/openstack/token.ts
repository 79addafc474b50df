/**
 * The token of a login, kept. Law: one request at a time whoever asks, a token is renewed before it can expire under a call, and
 * a caller that gives up takes nothing away from the others that wait. While Keystone does not work, a token is used for as long
 * as it lives. Life is measured on our monotonic clock.
 */
import { abortable } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { AuthenticationFailed } from './errors.ts';
import type { SignIn, Token } from './keystone.ts';

export interface TokenSource {
  /** A token with `lifeMs` of its life left, or half of the whole where it is short. Throws what signing in throws. */
  current(signal: AbortSignal, lifeMs?: number): Promise<Token>;
  /** A service has refused the token: it will not be given out again. */
  reject(token: Token): void;
}

/** A call takes seconds, its tries two minutes. */
const leastLifeMs = 120_000;
/**
 * How long refused credentials are not tried again: a thousand resources with the same wrong password must not lock the
 * account.
 */
const refusalMs = 30_000;
/** How long a token that could not be renewed is used before the next try. */
const outageMs = 30_000;

interface Held {
  kind: 'held';
  token: Token;
  /** Of the whole, and when it ends on our clock. */
  lifeMs: number;
  expires: number;
  /** Until then it is good enough however little of it is left. */
  settled: number;
}

type State =
  | { kind: 'none' }
  | { kind: 'asking'; answer: Promise<Token> }
  | Held
  | { kind: 'refused'; error: AuthenticationFailed; until: number };

export function createTokenSource(signIn: SignIn, clock: Clock): TokenSource {
  let state: State = { kind: 'none' };

  async function ask(earlier: Held | undefined): Promise<Token> {
    try {
      const { token, lifeMs } = await signIn();
      const now = clock.monotonic();
      state = { kind: 'held', token, lifeMs, expires: now + lifeMs, settled: now };
      return token;
    } catch (error) {
      const now = clock.monotonic();
      if (error instanceof AuthenticationFailed) {
        state = { kind: 'refused', error, until: now + refusalMs };
      } else if (earlier !== undefined && now < earlier.expires) {
        state = { ...earlier, settled: now + outageMs };
        return earlier.token;
      } else {
        state = { kind: 'none' };
      }
      throw error;
    }
  }

  return {
    async current(signal, lifeMs = leastLifeMs) {
      signal.throwIfAborted();
      const now = clock.monotonic();
      if (state.kind === 'held') {
        const left = state.expires - now;
        if (left > Math.min(lifeMs, state.lifeMs / 2) || (left > 0 && now < state.settled)) return state.token;
      }
      if (state.kind === 'refused' && now < state.until) throw state.error;
      if (state.kind === 'asking') return abortable(state.answer, signal);
      const answer = ask(state.kind === 'held' ? state : undefined);
      state = { kind: 'asking', answer };
      return abortable(answer, signal);
    },
    reject(token) {
      if (state.kind === 'held' && state.token === token) state = { kind: 'none' };
    },
  };
}
