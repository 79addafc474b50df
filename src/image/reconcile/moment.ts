/** The moment of a reconcile: what its status depends on in addition to the report. */

import { withDefaults } from '../../api/defaults.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { reconcileAtAnnotation } from '../../api/group.ts';
import { valueHash } from '../../lib/hash.ts';
import type { Report } from '../model/report.ts';
import { shownContent } from '../status/shown.ts';
import type { Moment } from '../status/status.ts';
import { warningOf } from '../status/warning.ts';
import type { Pass, ReconcileContext } from './pass.ts';

export function momentOf(
  { resource, pinning }: Pass,
  report: Pick<Report, 'memory' | 'observed' | 'content'>,
  { clock, random }: Pick<ReconcileContext, 'clock' | 'random'>,
): Moment {
  const { metadata, status: previous, spec } = resource;
  const { promoted } = report.memory;
  const image = report.observed?.revisions.find(({ image: { id } }) => id === promoted)?.image ?? previous.image;
  const content = shownContent(report, previous);
  return {
    generation: metadata.generation,
    specHash: specHashOf(pinning.declared.spec),
    reconcileAt: metadata.annotations[reconcileAtAnnotation],
    deletion: metadata.deletionTimestamp === undefined ? undefined : withDefaults(spec).deletionPolicy,
    recordOnly: spec.content === undefined,
    imported: spec.import && (spec.managementPolicy === 'Observe' ? 'observed' : 'adopted'),
    pinning,
    warning: warningOf(resource, {
      properties: image?.properties,
      transferWarnings: content?.warnings,
      virtualSize: content?.virtualSize ?? image?.virtualSize ?? undefined,
      unremovable: report.memory.unremovable?.keys,
      unknownUse: report.memory.inUse?.filter(({ isUnknown }) => isUnknown === true) ?? [],
      declared: pinning.declared.spec.content,
    }),
    now: clock.now(),
    random: random(),
  };
}

/** 16 digits of a hash of all that is declared but `suspend`. A file of a publisher is no declaration. */
function specHashOf({ suspend: _, ...declared }: GlanceImage['spec']): string {
  return valueHash(declared, 16);
}
