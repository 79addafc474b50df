/** GlanceImages and images as the tests of the domain need them. */
import { type GlanceImage, parseGlanceImage } from '../../src/api/glanceimage.ts';
import { apiVersion, finalizer, kind } from '../../src/api/group.ts';
import type { Image } from '../../src/glance/image.ts';
import { type Identity, identityOf, imageIDOf, markOf } from '../../src/image/model/identity.ts';
import type { Confirmation } from '../../src/kubernetes/resources.ts';

export const uid = 'c0ffee00-1234-4234-8234-123456789abc';
export const projectID = 'a'.repeat(32);

export interface ResourceOptions {
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  metadata?: Record<string, unknown>;
}

export function resourceOf({ spec = {}, status, metadata = {} }: ResourceOptions = {}): GlanceImage {
  return parseGlanceImage({
    apiVersion,
    kind,
    metadata: {
      name: 'ubuntu',
      namespace: 'demo',
      uid,
      generation: 1,
      resourceVersion: '10',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: { cloud: { secretRef: { name: 'openstack' }, name: 'demo' }, ...spec },
    ...(status === undefined ? {} : { status }),
  });
}

/** Whether the object that was read is the present one, for a stand-in of the API server. */
export function confirmed(read: GlanceImage['metadata'], now: GlanceImage['metadata'] | undefined): Confirmation {
  if (now?.uid !== read.uid) return 'gone';
  const isSame = now.generation === read.generation && now.deletionTimestamp === read.deletionTimestamp;
  return isSame && now.finalizers.includes(finalizer) ? 'current' : 'outdated';
}

export const identity: Identity = identityOf(resourceOf(), 'test-cluster');

export function imageOf(fields: Partial<Image> = {}): Image {
  return {
    id: imageIDOf(uid, 0),
    name: 'ubuntu',
    status: 'active',
    visibility: 'private',
    protected: false,
    hidden: false,
    diskFormat: 'raw',
    containerFormat: 'bare',
    minDiskGiB: 0,
    minRAMMiB: 0,
    owner: projectID,
    tags: [],
    size: 1024,
    virtualSize: null,
    checksum: 'd'.repeat(32),
    hash: { algorithm: 'sha512', value: 'e'.repeat(128) },
    createdAt: '2026-01-01T00:00:00Z',
    updatedAt: '2026-01-01T00:00:00Z',
    properties: markOf(identity),
    ...fields,
  };
}

export const digest = `sha256:${'1'.repeat(64)}`;
export const content = { http: { url: 'https://example.com/image.raw', digest } };
