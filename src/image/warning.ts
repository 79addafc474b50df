/** What people should know about a declaration although nothing keeps it from being carried out. */
import type { Warning } from '../api/conditions.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { isWeak, parseDigest } from '../source/digest.ts';

export function warningOf({ spec }: GlanceImage): Warning | undefined {
  const digest = spec.content?.http?.digest;
  if (digest === undefined) return undefined;
  const { algorithm } = parseDigest(digest);
  if (!isWeak(algorithm)) return undefined;
  return {
    reason: 'WeakDigest',
    message: `${algorithm} finds accidents, but not a file that somebody changed on purpose: declare a sha256 or sha512 digest if the publisher has one`,
  };
}
