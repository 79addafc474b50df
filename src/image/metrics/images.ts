/** The resources by condition and reason, counted at each scrape. Invariant: a resource has no series of its own. */
import { type ConditionType, findCondition } from '../../api/conditions.ts';
import type { GlanceImage } from '../../api/glanceimage.ts';
import { type Reason, reasons } from '../../api/reasons.ts';
import type { Condition } from '../../api/status.ts';
import type { Meters } from '../../controller/meters.ts';
import type { Item } from '../../kubernetes/resource.ts';

/** Those that are not there mean False, but Ready and Available are not known until they are said. */
const statuses: Readonly<Record<ConditionType, readonly Condition['status'][]>> = {
  Ready: ['Unknown', 'True', 'False'],
  Available: ['Unknown', 'True', 'False'],
  Reconciling: ['False', 'True'],
  Updating: ['False', 'True'],
  Stalled: ['False', 'True'],
  Warning: ['False', 'True'],
};
const types = ['Ready', 'Available', 'Reconciling', 'Stalled', 'Warning'] as const;

const revisionStates = ['Pending', 'Current', 'Retired', 'InUse'] as const;

/** What becomes of a newer file of a publisher, by the status of the condition Updating; it is absent where there is none. */
const updateStates = { True: 'Progressing', False: 'Failed', Unknown: 'Failed' } as const;

/** In addition to the reasons of Ready: resources without a status, and those that cannot be parsed. */
const others = ['Unseen', 'Unreadable'] as const;

export interface ImageMetrics {
  /** Counts an event of a resource. */
  event(reason: Reason): void;
}

export function createImageMetrics({ counter, gauge }: Meters, list: () => readonly Item<GlanceImage>[]): ImageMetrics {
  gauge(
    'glance_image_operator_image_status',
    'Resources by condition and its status',
    ['condition', 'status'],
    (each) => {
      for (const condition of types) for (const status of statuses[condition]) each.set({ condition, status }, 0);
      for (const item of list()) {
        for (const condition of types) {
          const said = item.kind === 'readable' ? findCondition(item.object.status.conditions, condition) : undefined;
          each.inc({ condition, status: said?.status ?? statuses[condition][0] ?? 'Unknown' });
        }
      }
    },
  );
  gauge('glance_image_operator_images', 'Resources by the reason of their condition Ready', ['reason'], (each) => {
    for (const reason of [...Object.keys(reasons), ...others]) each.set({ reason }, 0);
    for (const item of list()) {
      const ready = item.kind === 'readable' ? findCondition(item.object.status.conditions, 'Ready') : undefined;
      each.inc({ reason: item.kind === 'unreadable' ? 'Unreadable' : (ready?.reason ?? 'Unseen') });
    }
  });
  gauge(
    'glance_image_operator_revisions',
    'Images of the resources by the state of their revision',
    ['state'],
    (each) => {
      for (const state of revisionStates) each.set({ state }, 0);
      for (const item of list()) {
        for (const { state } of item.kind === 'readable' ? (item.object.status.revisions ?? []) : [])
          each.inc({ state });
      }
    },
  );
  gauge(
    'glance_image_operator_updates',
    'Resources whose publisher has a newer file, or cannot be followed, by state',
    ['state'],
    (each) => {
      for (const state of ['Progressing', 'Failed']) each.set({ state }, 0);
      for (const item of list()) {
        const updating = item.kind === 'readable' && findCondition(item.object.status.conditions, 'Updating');
        if (updating) each.inc({ state: updateStates[updating.status] });
      }
    },
  );
  const drift = counter('glance_image_operator_drift_corrected_total', 'Corrected changes by other clients');
  return {
    event(reason) {
      if (reason === 'DriftCorrected') drift.inc();
    },
  };
}
