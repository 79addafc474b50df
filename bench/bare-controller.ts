/**
 * The minimum that any controller does for an image: one creation in Glance and three writes to the API server, which
 * record and report it. It reads nothing, waits for nothing and remembers nothing. On one machine the API server needs
 * the whole remaining processor time for these writes, so this is a bound of its own.
 */

import type { GlanceImage } from '../src/api/glanceimage.ts';
import { finalizer } from '../src/api/group.ts';
import type { GlanceImageStatus } from '../src/api/status.ts';
import { glanceImageType } from '../src/image/access/resources.ts';
import { createClient } from '../src/kubernetes/client.ts';
import { addFinalizer } from '../src/kubernetes/finalizer.ts';
import { parseObject } from '../src/kubernetes/resource.ts';
import { createApiTransport } from '../src/kubernetes/transport.ts';
import { systemClock } from '../src/lib/clock.ts';
import type { Kubernetes } from '../test/env/kubernetes.ts';

const eventType = { group: 'events.k8s.io', version: 'v1', kind: 'Event', plural: 'events', parse: parseObject };

export interface BareController extends AsyncDisposable {
  /** Creates the resource of this index. */
  create(index: number): Promise<void>;
  /** `createImage` makes the image; `status` is what is written of it. */
  look(index: number, createImage: () => Promise<unknown>, status: GlanceImageStatus): Promise<void>;
}

/** `manifest` is that of an index, in a namespace where no other controller looks. */
export async function startBareController(
  kubernetes: Kubernetes,
  manifest: (namespace: string, index: number) => object,
): Promise<BareController> {
  const namespace = await kubernetes.createNamespace();
  const kubeconfig = kubernetes.kubeconfig();
  const transport = createApiTransport({ kubeconfig, version: 'bench', clock: systemClock, random: Math.random });
  const client = createClient(transport);
  const { signal } = new AbortController();
  const path = `/apis/${glanceImageType.group}/${glanceImageType.version}/namespaces/${namespace}/${glanceImageType.plural}`;
  const resources = new Map<number, GlanceImage>();
  return {
    async create(index) {
      const { json } = (await kubernetes.request('POST', path, manifest(namespace, index))).ok();
      resources.set(index, glanceImageType.parse(json));
    },
    async look(index, createImage, status) {
      const resource = resources.get(index);
      if (resource === undefined) throw new Error(`there is no resource ${index}`);
      const { name, uid } = resource.metadata;
      await addFinalizer(client, glanceImageType, resource, finalizer, signal);
      await createImage();
      await client.applyStatus(glanceImageType, { metadata: { name, namespace, uid }, status }, signal);
      await client.create(eventType, eventOf(namespace, name, uid), signal);
    },
    [Symbol.asyncDispose]: () => transport.close(),
  };
}

function eventOf(namespace: string, name: string, uid: string) {
  const { group, version, kind } = glanceImageType;
  return {
    metadata: { name: `${name}.bench`, namespace },
    eventTime: new Date().toISOString().replace('Z', '000Z'),
    reportingController: 'bench',
    reportingInstance: 'bench',
    type: 'Normal',
    reason: 'Ready',
    action: 'Reconcile',
    note: 'the image is as declared',
    regarding: { apiVersion: `${group}/${version}`, kind, namespace, name, uid },
  };
}
