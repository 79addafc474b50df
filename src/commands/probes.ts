/**
 * Builds the server for probes and metrics from the parts of the operator that have checks, and the check of the event loop.
 *
 * Invariant: a probe only repeats what its parts have recorded, so it needs neither a cloud nor the API server.
 */
import { type Checks, createHealthServer, type HealthServerOptions } from '../controller/health.ts';
import { createLoopMonitor } from '../controller/liveness.ts';
import type { Component } from '../controller/supervisor.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';

const loopLagMs = 5_000;

export interface ProbesOptions extends Pick<HealthServerOptions, 'metrics'> {
  /** `host:port`, an IPv6 address in brackets. */
  address: string;
  /** Names of checks must differ, except for a check that two parts share. */
  parts: readonly { readonly live: Checks; readonly ready?: Checks }[];
  clock: Clock;
  log: Logger;
}

export function listenAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) };
}

export function createProbes({ address, parts, metrics, clock, log }: ProbesOptions): Component[] {
  const loop = createLoopMonitor(clock, loopLagMs);
  const health = createHealthServer({
    ...listenAddress(address),
    live: Object.assign({ 'event-loop': loop.check }, ...parts.map(({ live }) => live)),
    ready: Object.assign({}, ...parts.map(({ ready }) => ready)),
    metrics,
  });
  health.address.then(
    (actual) => log.info(actual, metrics === undefined ? 'Serving probes' : 'Serving probes and metrics'),
    () => {},
  );
  return [
    { name: 'health', run: health.run },
    { name: 'event-loop', run: loop.run },
  ];
}
