/** What the steps of one reconcile are performed with. */
import { finalizer } from '../../api/group.ts';
import type { Cloud } from '../access/clouds.ts';
import type { Desired } from '../model/desired.ts';
import type { PerformContext } from '../perform/perform.ts';
import { recorded } from '../status/status.ts';
import { momentOf } from './moment.ts';
import { ownerIn, type Pass, type ReconcileContext } from './pass.ts';

/** `desired` is absent at a deletion. `isConfirmed`: by the API server, in this reconcile. */
export function performContext(
  pass: Pass,
  desired: Desired | undefined,
  cloud: Cloud,
  context: ReconcileContext,
  isConfirmed = false,
): PerformContext {
  const { resources, webDownloads, memberReadings, configMaps, inheritFrom, clock, signal } = context;
  const { resource, identity } = pass;
  let isGuarded = resource.metadata.finalizers.includes(finalizer);
  let isSure = isConfirmed;
  async function guard(): Promise<boolean> {
    isGuarded = isGuarded || (await resources.addFinalizer(resource, identity.value, signal));
    return isGuarded;
  }
  return {
    images: cloud.images,
    servers: cloud.servers,
    recent: cloud.recent,
    owner: ownerIn(pass, cloud.projectID, inheritFrom),
    storeNames: desired?.stores.kind === 'all' ? cloud.storeNames : undefined,
    webDownloads,
    memberReadings,
    configMaps: configMaps.of(resource),
    clock,
    signal,
    guard,
    async confirm() {
      if (isSure) return 'current';
      if (!(await guard())) return 'gone';
      const confirmation = await resources.confirm(resource, signal);
      isSure = confirmation === 'current';
      return confirmation;
    },
    record(state) {
      const status = recorded(state, resource.status, momentOf(pass, state, context));
      return resources.writeStatus(resource, status, signal);
    },
  };
}
