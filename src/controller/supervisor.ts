/**
 * Runs the components of the process until shutdown.
 *
 * Guarantees: a component that fails, or ends before the shutdown, halts all others. At shutdown components are stopped one after
 * the other, the last of the list first, each when the previous one has ended; the drain deadline bounds this. A component that
 * does not end even then is named and abandoned.
 */
import { aborted, DeadlineExceeded } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

export interface Component {
  name: string;
  /**
   * `stop` asks the component to finish its work and end; after `halt` it must not start or write anything. A component without
   * work in progress may ignore `halt`. It may also end by throwing after `stop`.
   */
  run(stop: AbortSignal, halt: AbortSignal): Promise<void>;
}

export interface SupervisorOptions {
  clock: Clock;
  log: Logger;
  /** For all components together, from the signal to `halt`. */
  drainMs: number;
}

/** The time between `halt` and the end of the process. */
const haltMs = 3000;

/** Resolves when all components have ended after `signal`; rejects with the failure that ended them otherwise. */
export async function supervise(
  components: readonly Component[],
  { clock, log, drainMs }: SupervisorOptions,
  signal: AbortSignal,
): Promise<void> {
  const halt = new AbortController();
  let failure: OperatorError | undefined;
  const fail = (name: string, message: string, cause?: unknown) => {
    log.error({ component: name, error: cause }, message);
    failure ??= new OperatorError(message, { code: 'ComponentFailed', cause });
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
