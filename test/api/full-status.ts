/** A status with every field. */
import { hex, http } from './declarations.ts';

const now = '2026-03-01T10:00:00.123Z';
const condition = (type: string) => ({
  type,
  status: 'False',
  reason: 'QuotaExceeded',
  message: 'Glance returned 413 for the upload.',
  observedGeneration: 3,
  lastTransitionTime: now,
});

/** Every field of the status. */
export const fullStatus = {
  observedGeneration: 3,
  conditions: [condition('Ready'), condition('Reconciling')],
  imageID: '6b1fd7a2-0000-5000-8000-000000000000',
  size: '592Mi',
  progress: '43%',
  image: {
    name: 'ubuntu-24.04',
    status: 'active',
    visibility: 'private',
    owner: '5f0b1c',
    diskFormat: 'qcow2',
    containerFormat: 'bare',
    size: 620_756_992,
    virtualSize: Number.MAX_SAFE_INTEGER,
    checksum: hex(32),
    hash: { algorithm: 'sha512', value: hex(128) },
    minDiskGiB: 10,
    minRAMMiB: 512,
    protected: false,
    hidden: false,
    tags: ['lts', 'lts'],
    properties: { hw_disk_bus: 'virtio', mappings: [{ virtual: 'ami', device: null }], empty: {} },
    stores: ['fast', 'slow'],
    createdAt: '2026-03-01T10:00:00Z',
    updatedAt: '2026-03-01T10:00:00+02:00',
    observedAt: now,
  },
  content: {
    url: http.url,
    digest: http.digest,
    shortDigest: hex(12),
    imageDigest: `sha512:${hex(128)}`,
    size: 620_756_992,
    compression: 'xz',
    virtualSize: 3_758_096_384,
  },
  transfer: {
    phase: 'Transferring',
    bytes: 0,
    totalBytes: 620_756_992,
    percent: 43,
    bytesPerSecond: 180_000_000,
    startedAt: now,
  },
  lastError: {
    reason: 'QuotaExceeded',
    message: 'Glance returned 413 for the upload.',
    httpStatus: 413,
    requestID: 'req-5d1c',
    retryable: true,
    attempts: 3,
    at: now,
  },
  nextAttemptTime: now,
  cloud: { projectID: '5f0b1c', region: 'RegionOne' },
  secretVersion: '4711',
  propertyKeys: ['hw_disk_bus'],
  lastHandledReconcileAt: '2026-03-01',
};
