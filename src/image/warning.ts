/** What users should know about a resource although nothing keeps the operator from doing what it declares. */
import type { Warning } from '../api/conditions.ts';
import { withDefaults } from '../api/defaults.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { isPatchable, isServerKey, reservedPrefix } from '../glance/property-names.ts';
import { isWeak, parseDigest } from '../source/digest.ts';
import { contentOf } from './content.ts';

/** `properties`: those that the image has, as last seen. */
export function warningOf(
  resource: GlanceImage,
  properties: Readonly<Record<string, unknown>> | undefined,
): Warning | undefined {
  const algorithm = weakAlgorithm(resource);
  if (algorithm !== undefined)
    return {
      reason: 'WeakDigest',
      message: `${algorithm} detects accidental corruption, but not a deliberate change of the file: declare a sha256 or sha512 digest if the publisher provides one`,
    };
  const stuck =
    withDefaults(resource.spec).propertyPolicy === 'Purge' ? Object.keys(properties ?? {}).filter(cannotBeRemoved) : [];
  if (stuck.length === 0) return undefined;
  return {
    reason: 'PropertyNotRemovable',
    message: `the image has properties that are not declared and that Glance cannot remove because of their names: ${stuck.map((name) => JSON.stringify(name)).join(', ')}`,
  };
}

function weakAlgorithm(resource: GlanceImage): string | undefined {
  const digest = contentOf(resource)?.digest;
  if (digest === undefined) return undefined;
  const { algorithm } = parseDigest(digest);
  return isWeak(algorithm) ? algorithm : undefined;
}

/** Glance's own notes about imports are not among them: Glance removes them itself. */
function cannotBeRemoved(name: string): boolean {
  return !name.startsWith(reservedPrefix) && (isServerKey(name) || !isPatchable(name));
}
