/**
 * Requests to clouds, except those of transfers, which run in a thread of their own and are measured as transfers.
 *
 * Invariant: the labels come from lists in the program; a server or a clouds.yaml cannot add a series.
 */
import type { Meters } from '../../controller/meters.ts';
import type { Exchange } from '../../openstack/exchange.ts';

const buckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const usual = [
  { service: 'identity', operation: 'signIn', code: '201' },
  { service: 'image', operation: 'list', code: '200' },
  { service: 'image', operation: 'read', code: '200' },
  { service: 'image', operation: 'create', code: '201' },
  { service: 'image', operation: 'update', code: '200' },
  { service: 'image', operation: 'delete', code: '204' },
] as const;

const usualCodes = new Set(
  '<error> 200 201 202 204 206 300 400 401 403 404 405 409 410 411 413 415 416 429 500 501 502 503 504'.split(' '),
);

/** A server can respond with any number; those that are not usual are counted by their first digit. */
function codeLabel(code: string): string {
  return usualCodes.has(code) ? code : `${code.slice(0, 1)}xx`;
}

export interface CloudMetrics {
  /** Counts a request and its response. */
  exchange(exchange: Exchange): void;
  /** Counts open sessions at each scrape. */
  measure(sessions: () => number): void;
}

export function createCloudMetrics({ counter, gauge, histogram }: Meters): CloudMetrics {
  const labels = ['service', 'operation', 'code'] as const;
  const total = counter(
    'glance_image_operator_openstack_requests_total',
    'Requests to OpenStack, including retries',
    labels,
  );
  const durations = histogram(
    'glance_image_operator_openstack_request_duration_seconds',
    'Time to the response headers',
    labels,
    buckets,
  );
  for (const each of usual) {
    total.inc(each, 0);
    durations.zero(each);
  }
  return {
    exchange({ purpose, code, durationMs }) {
      const what = { ...purpose, code: codeLabel(code) };
      total.inc(what);
      durations.observe(what, durationMs / 1000);
    },
    measure(sessions) {
      gauge('glance_image_operator_cloud_sessions', 'Open sessions with clouds', [], (each) => each.set(sessions()));
    },
  };
}
