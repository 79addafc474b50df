/** Plans and results for tests that do not care about most of what is in them. */

import { defaultLimits, TransferPlan, type TransferResult } from '../../src/transfer/plan.ts';
import { imageOf } from '../image/resource.ts';

export interface PlanOptions extends Partial<Omit<TransferPlan, 'cloud' | 'source' | 'limits'>> {
  namespace?: string;
  address?: string;
  cloudName?: string;
  url?: string;
  mirrors?: { url: string; digest?: string }[];
  source?: TransferPlan['source'];
  limits?: Partial<TransferPlan['limits']>;
}

export function planOf(options: PlanOptions = {}): TransferPlan {
  const { namespace, address, cloudName, url, mirrors, source, limits, ...rest } = options;
  return TransferPlan.parse({
    imageID: '6b1fd7a2-0000-4000-8000-000000000000',
    cloud: {
      namespace: namespace ?? 'team',
      secretRef: { name: 'openstack' },
      name: cloudName ?? 'demo',
      address: address ?? 'https://glance.example.com',
    },
    source: source ?? { kind: 'http', url: url ?? 'https://example.com/image.raw', mirrors: mirrors ?? [] },
    digestOf: 'Served',
    decompress: 'Auto',
    diskFormat: 'raw',
    minDiskGiB: 0,
    method: 'Upload',
    stores: { kind: 'default' },
    limits: { ...defaultLimits, ...limits },
    ...rest,
  });
}

export function resultOf(bytes: number): TransferResult {
  const image = imageOf({ size: bytes });
  const digest = `${image.hash?.algorithm}:${image.hash?.value}`;
  return {
    bytes,
    servedBytes: bytes,
    digest,
    imageDigest: digest,
    format: 'raw',
    url: 'https://example.com/',
    resumes: 0,
    startedAt: '1970-01-01T00:00:00.000Z',
    durationMs: 1,
    image,
  };
}

/** A UUID that a reader of a failed test can trace back to `name`. */
export function imageIDOf(name: string): string {
  return `00000000-0000-4000-8000-${Buffer.from(name).toString('hex').padStart(12, '0').slice(-12)}`;
}
