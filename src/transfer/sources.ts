/**
 * From the source of a plan to its bytes. Law: the only place that knows which kinds of source there are.
 */
import type { Clock } from '../lib/clock.ts';
import { openHttpSource } from '../source/http.ts';
import type { Source } from '../source/source.ts';
import type { SourceTransport } from '../source/transport.ts';
import type { TransferPlan } from './plan.ts';

/** The signal governs the body too; the source is closed when it aborts. */
export type OpenSource = (plan: TransferPlan, signal: AbortSignal) => Promise<Source>;

export function createSourceOpener(transport: SourceTransport, clock: Clock): OpenSource {
  return (plan, signal) => {
    const { source, limits } = plan;
    switch (source.kind) {
      case 'http':
        return openHttpSource({ url: source.url, transport, clock, limits, signal });
    }
  };
}
