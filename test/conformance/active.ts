/** A difference that several cases share: Cinder has made an image active that ours has left alone. */
import { createHash } from 'node:crypto';
import type { Pair } from './case.ts';

/** `data`: what Cinder's image holds. */
export function onlyCindersIsActive(data: string): Readonly<Record<string, Pair>> {
  const digest = (algorithm: string) => createHash(algorithm).update(data).digest('hex');
  const differing: Record<string, Pair> = {
    status: ['active', 'queued'],
    size: [data.length, null],
    checksum: [digest('md5'), null],
    os_hash_algo: ['sha512', null],
    os_hash_value: [digest('sha512'), null],
    locations: [[{ url: 'file:///fast/<image>', metadata: { store: 'fast' } }], []],
    direct_url: ['file:///fast/<image>', undefined],
    stores: ['fast', undefined],
  };
  // Of no bytes Glance finds out nothing more.
  if (data !== '') differing['virtual_size'] = [data.length, null];
  return Object.fromEntries(Object.entries(differing).map(([key, pair]) => [`/glance/<image>/${key}`, pair]));
}
