/**
 * The talk with clouds. What transfers say to Glance is not in it: they run in a thread of their own, and are measured as
 * transfers.
 */
import type { Meters } from '../../controller/meters.ts';
import type { Exchange } from '../../openstack/exchange.ts';
import { operationOf } from '../../openstack/services.ts';

const buckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const usual = [
  { service: 'identity', operation: 'POST auth/tokens', code: '201' },
  { service: 'image', operation: 'GET images', code: '200' },
  { service: 'image', operation: 'GET images/{id}', code: '200' },
  { service: 'image', operation: 'POST images', code: '201' },
  { service: 'image', operation: 'PATCH images/{id}', code: '200' },
  { service: 'image', operation: 'DELETE images/{id}', code: '204' },
] as const;

export interface CloudMetrics {
  /** One request and its answer. */
  exchange(exchange: Exchange): void;
}

export function createCloudMetrics({ counter, gauge, histogram }: Meters, sessions: () => number): CloudMetrics {
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
  gauge('glance_image_operator_cloud_sessions', 'Open sessions with clouds', [], (each) => each.set(sessions()));
  for (const each of usual) {
    total.inc(each, 0);
    durations.zero(each);
  }
  return {
    exchange({ method, url, code, durationMs }) {
      const what = { ...operationOf(method, url), code };
      total.inc(what);
      durations.observe(what, durationMs / 1000);
    },
  };
}
