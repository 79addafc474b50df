/** The settings of the commands. */
import { z } from 'zod';
import { logLevels } from '../lib/log.ts';
import { type Settings, setting, type ValuesOf } from './config.ts';
import { egressSettings } from './egress.ts';

export const runSettings = {
  kubeconfig: {
    schema: setting.text(),
    value: 'PATH',
    help: 'Kubeconfig to use. Default: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod.',
  },
  namespaces: {
    schema: setting.list(),
    value: 'NAME,…',
    help: 'Namespaces whose resources are looked after. Default: all.',
  },
  selector: {
    schema: setting.text(),
    value: 'LABELS',
    help: 'Label selector of the resources that are looked after, so that several installations share the work; one that the API server cannot read is wrong usage. Default: all.',
  },
  clusterName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of this cluster in the owner mark of images. Default: the uid of the namespace kube-system.',
  },
  watchSecrets: {
    schema: setting.flag(true),
    value: 'true|false',
    help: 'Whether changed Secrets are noticed at once. With false, the right to `get` Secrets is enough. Default: true.',
  },
  workers: {
    schema: setting.count(1, 100, 16),
    value: 'N',
    help: 'How many resources are reconciled at once, of one cloud at most half as many. Default: 16.',
  },
  transfers: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'How many transfers run at once. Default: 4.',
  },
  transfersPerCloud: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'How many of them into one cloud. Default: 4.',
  },
  transfersPerHost: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'How many of them from one source host. Default: 4.',
  },
  transferLimits: {
    schema: setting.text(),
    value: 'FILE',
    help: 'YAML or JSON with total, perCloud and perHost, which win over these three flags. It is read again when it changes, and what runs goes on.',
  },
  maxImageSizeGiB: {
    schema: setting.count(1, 1_000_000, 1024),
    value: 'GIB',
    help: 'Largest file that is taken from a source, and largest image that is made of it, in GiB. Default: 1024.',
  },
  maxVirtualSizeGiB: {
    schema: setting.count(1, 8_000_000, 8192),
    value: 'GIB',
    help: 'Largest disk that an image may describe, in GiB. Default: 8192.',
  },
  sourceStallSeconds: {
    schema: setting.count(1, 3600, 60),
    value: 'N',
    help: 'A source has stalled when it sends less than 64 KiB in this time. Default: 60.',
  },
  ...egressSettings,
  leaderElect: {
    schema: setting.flag(true),
    value: 'true|false',
    help: 'Whether replicas elect the one that works, by a Lease. With false there must be one only. Default: true.',
  },
  leaseName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of the Lease; of its own for each installation in a namespace. Default: glance-image-operator. A hash of --selector is added.',
  },
  leaseNamespace: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Where the Lease is. Default: POD_NAMESPACE, or the namespace of the kubeconfig or ServiceAccount.',
  },
  leaseDuration: {
    schema: setting.duration('15s'),
    value: 'DURATION',
    help: 'How long others wait for a leader that is silent. Default: 15s.',
  },
  leaseRenewDeadline: {
    schema: setting.duration('10s'),
    value: 'DURATION',
    help: 'How long after its last renewal a leader stops writing and ends. Default: 10s.',
  },
  leaseRetry: {
    schema: setting.duration('2s'),
    value: 'DURATION',
    help: 'How often the leader renews; the others look twice as often. Default: 2s.',
  },
  healthAddress: {
    schema: z
      .string()
      .regex(/^.*:[0-9]{1,5}$/, 'must be host:port or :port')
      .default(':8081'),
    value: 'HOST:PORT',
    help: 'Where /livez, /readyz and /metrics are served. Default: :8081.',
  },
  drainSeconds: {
    schema: setting.count(0, 3600, 20),
    value: 'N',
    help: 'How long work in progress may go on after SIGTERM. Default: 20.',
  },
  transfersOnStop: {
    schema: z.enum(['cancel', 'drain']).default('cancel'),
    value: 'cancel|drain',
    help: 'Whether transfers are given up at SIGTERM, to begin anew elsewhere, or finished within --drain-seconds. Default: cancel.',
  },
  logLevel: {
    schema: z.enum(logLevels).default('info'),
    value: 'LEVEL',
    help: `One of ${logLevels.join(', ')}. Default: info.`,
  },
} as const satisfies Settings;

export type RunSettings = ValuesOf<typeof runSettings>;

export const transferSettings = {
  cloudsYaml: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Where the cloud of the plan is found. Default: OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack, /etc/openstack.',
  },
  cacert: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Certificate authorities of that cloud, as PEM. Default: the file that clouds.yaml names, or else those of the system.',
  },
  headerFile: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Headers for the source, one "Name: value" a line.',
  },
  sourceCa: {
    schema: setting.text(),
    value: 'FILE',
    help: 'More certificate authorities for the source, as PEM.',
  },
  sourceCloudsYaml: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Where the cloud of an image to copy is found. Default: where the cloud of the plan is.',
  },
  ...egressSettings,
} as const satisfies Settings;

export type TransferSettings = ValuesOf<typeof transferSettings>;
