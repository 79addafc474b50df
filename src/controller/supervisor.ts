/**
 * Runs the parts of the process until it shall end.
 *
 * Guarantees: a part that fails, or ends unasked, ends all others at once. When asked to end, parts are stopped one after
 * the other, the last started first, each after the next has finished; the drain deadline bounds that. A part that does not
 * end even then is named and left behind.
 */
import { aborted, DeadlineExceeded } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError, retry } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

export interface Component {
  name: string;
  /**
   * `stop` asks it to finish what it holds and end; `halt` says that nothing may be begun or written any more. A part that
   * holds nothing need not look at `halt`. Throwing after `stop` is a way of ending, too.
   */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

export interface SupervisorOptions {
  clock: Clock;
  log: Logger;
  /** For all parts together, from the signal to `halt`. */
  drainMs: number;
}

/** What parts get to notice `halt`. */
const haltMs = 3000;

/** Resolves when all parts have ended because `signal` asked for it; rejects with the failure that ended them otherwise. */
export async function supervise(
  components: readonly Component[],
  { clock, log, drainMs }: SupervisorOptions,
  signal: AbortSignal,
): Promise<void> {
  const halt = new AbortController();
  let failure: OperatorError | undefined;
  const fail = (name: string, said: string, cause?: unknown) => {
    log.error({ component: name, error: cause }, said);
    failure ??= new OperatorError(said, { code: 'ComponentFailed', retry: retry.backoff, cause });
    halt.abort(failure);
  };

  const running = components.map((component) => {
    const { name } = component;
    const stop = new AbortController();
    const part = { name, stop, over: false, ended: Promise.resolve() };
    part.ended = (async () => {
      try {
        await component.run(stop.signal, halt.signal);
        if (!stop.signal.aborted) fail(name, `${name} ended before the shutdown`);
      } catch (error) {
        if (!stop.signal.aborted) fail(name, `${name} failed: ${describe(error)}`, error);
        else if (error !== stop.signal.reason && error !== halt.signal.reason)
          log.warn({ component: name, error }, 'A component failed during the shutdown');
      } finally {
        part.over = true;
      }
    })();
    return part;
  });

  const halted = aborted(halt.signal);
  await Promise.race([aborted(signal), halted]);
  const cancelDrain = clock.schedule(drainMs, () => {
    log.warn({ drainMs }, 'The drain deadline has passed; running work is cancelled');
    halt.abort(new DeadlineExceeded('stopping', drainMs));
  });
  for (const part of running.toReversed()) {
    part.stop.abort(halt.signal.aborted ? halt.signal.reason : signal.reason);
    await Promise.race([part.ended, halted]);
  }
  cancelDrain();

  const ended = new AbortController();
  const limit = clock.sleep(haltMs, ended.signal).catch(() => {});
  await Promise.race([Promise.all(running.map((part) => part.ended)), limit]);
  ended.abort();
  const left = running.filter((part) => !part.over).map((part) => part.name);
  if (left.length > 0) log.error({ components: left }, 'Components did not stop in time and are abandoned');
  if (failure) throw failure;
}
