/** The settings of the commands. */
import * as z from 'zod';
import { logLevels } from '../lib/log.ts';
import { type Settings, setting, type ValuesOf } from './config.ts';
import { egressSettings } from './egress.ts';

const address = z.string().regex(/^.*:[0-9]{1,5}$/, 'must be host:port or :port');

/** For both commands. */
export const trustSettings = {
  caBundle: {
    schema: setting.text(),
    value: 'FILE',
    help: 'More certificate authorities for all sources and clouds, as PEM. It is read again when it changes.',
  },
} as const satisfies Settings;

export const runSettings = {
  kubeconfig: {
    schema: setting.text(),
    value: 'PATH',
    help: 'Kubeconfig to use. Default: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod.',
  },
  namespaces: {
    schema: setting.list(),
    value: 'NAME,…',
    help: 'Namespaces to watch. Default: all.',
  },
  selector: {
    schema: setting.text(),
    value: 'LABELS',
    help: 'Label selector of the resources to manage; use it to shard resources across installations. An invalid selector exits with code 2. Default: all.',
  },
  clusterName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of this cluster in the marks of images. A clone of a cluster needs its own; change it only together with --inherit-from. Default: the uid of the namespace kube-system.',
  },
  inheritFrom: {
    schema: setting.list(),
    value: 'NAME,…',
    help: 'Names of other clusters, by their --cluster-name, whose images this installation takes over when their resources arrive here; also the way to change --cluster-name. Default: none.',
  },
  watchSecrets: {
    schema: setting.flag(false),
    value: 'true|false',
    help: 'Whether to watch Secrets, so that a change takes effect immediately. This needs the permissions to list and watch Secrets, which include reading all of them. With false, `get` suffices, and a change takes effect at the next check of the resource, or within 30 seconds where it waits after a failure. Default: false.',
  },
  workers: {
    schema: setting.count(1, 100, 16),
    value: 'N',
    help: 'Number of resources that are reconciled at the same time; one cloud uses at most half of it. Default: 16.',
  },
  transfers: {
    schema: setting.count(1, 100, 5),
    value: 'N',
    help: 'Number of transfers that run at the same time. Default: 5.',
  },
  transfersPerNamespace: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'Limit of running transfers of one namespace. Below --transfers, the last free slot is reserved for a namespace without a running transfer. Default: 4.',
  },
  transfersPerCloud: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'Limit of running transfers into one cloud. Default: 4.',
  },
  transfersPerHost: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'Limit of running transfers from one source host. Default: 4.',
  },
  transferLimits: {
    schema: setting.text(),
    value: 'FILE',
    help: 'YAML or JSON file with total, perNamespace, perCloud and perHost, which override these four flags. It is read again when it changes; running transfers continue.',
  },
  transferJobAbove: {
    schema: setting.bytes(),
    value: 'SIZE',
    help: 'Files larger than SIZE, or of unknown length, are transferred by Jobs in the namespace of the operator. SIZE is a number of bytes, for example 1Gi. Needs --transfer-job-template. Default: no Jobs.',
  },
  transferJobTemplate: {
    schema: setting.text(),
    value: 'FILE',
    help: 'YAML or JSON file with the image, the ServiceAccount and the scheduling of the pods of transfers, as the chart writes it. The operator reads the file when it starts.',
  },
  maxImageSizeGiB: {
    schema: setting.count(1, 1_000_000, 1024),
    value: 'GIB',
    help: 'Size limit of a file from a source, and of the image made from it, in GiB. Default: 1024.',
  },
  maxVirtualSizeGiB: {
    schema: setting.count(1, 8_000_000, 8192),
    value: 'GIB',
    help: 'Size limit of the virtual disk of an image, in GiB. Default: 8192.',
  },
  gptSafetyChecksNonfatal: {
    schema: setting.list().pipe(z.array(z.enum(['mbr', 'gptmbr'], 'must be mbr, gptmbr, or both'))),
    value: 'NAME,…',
    help: 'Checks of partition tables that an image may fail, as in the option of this name in Glance: mbr (all of them) or gptmbr (those of a protective MBR). Set it to what your clouds permit. Default: none.',
  },
  sourceStallSeconds: {
    schema: setting.count(1, 3600, 60),
    value: 'N',
    help: 'A source has stalled when it sends less than 64 KiB in this time. Default: 60.',
  },
  ...egressSettings,
  ...trustSettings,
  leaderElect: {
    schema: setting.flag(true),
    value: 'true|false',
    help: 'Whether replicas elect a leader by a Lease. With false, run a single replica. Default: true.',
  },
  leaseName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of the Lease; use a different one for each installation in a namespace. Default: glance-image-operator. A hash of --selector is added.',
  },
  leaseNamespace: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Namespace of the Lease. Default: POD_NAMESPACE, or the namespace of the kubeconfig or ServiceAccount.',
  },
  leaseDuration: {
    schema: setting.duration('15s'),
    value: 'DURATION',
    help: 'How long standbys wait before taking over a lease that is not renewed. Default: 15s.',
  },
  leaseRenewDeadline: {
    schema: setting.duration('10s'),
    value: 'DURATION',
    help: 'Time after the last renewal at which a leader stops writing and exits. Default: 10s.',
  },
  leaseRetry: {
    schema: setting.duration('2s'),
    value: 'DURATION',
    help: 'Interval at which the leader renews; standbys check twice as often. Default: 2s.',
  },
  healthAddress: {
    schema: address.default(':8081'),
    value: 'HOST:PORT',
    help: 'Address of /livez and /readyz, and of /metrics without --metrics-address. Default: :8081.',
  },
  metricsAddress: {
    schema: address.optional(),
    value: 'HOST:PORT',
    help: 'Address of /metrics over TLS, for clients that send a token of a user of this cluster who may GET /metrics. Each new token is checked by a TokenReview and a SubjectAccessReview, and again after a minute. Default: /metrics is served on --health-address, without TLS and login.',
  },
  metricsCertificate: {
    schema: setting.text(),
    value: 'DIRECTORY',
    help: 'Directory with tls.crt and tls.key for --metrics-address, in PEM. They are read again when they change. Default: a self-signed certificate, made at the start.',
  },
  drainSeconds: {
    schema: setting.count(0, 3600, 20),
    value: 'N',
    help: 'Time limit in seconds for work in progress after SIGTERM. Default: 20.',
  },
  transfersOnStop: {
    schema: z.enum(['cancel', 'drain']).default('cancel'),
    value: 'cancel|drain',
    help: 'Whether SIGTERM cancels running transfers, which another replica restarts, or lets them finish within --drain-seconds. Default: cancel.',
  },
  logLevel: {
    schema: z.enum(logLevels).default('info'),
    value: 'LEVEL',
    help: `One of ${logLevels.join(', ')}. Default: info.`,
  },
} as const satisfies Settings;

export type RunSettings = ValuesOf<typeof runSettings>;

export const transferSettings = {
  run: {
    schema: setting.text(),
    value: 'DIRECTORY',
    help: 'Directory with the files of a run, as the operator puts them into the Secret of a Job. It replaces PLAN and all other flags but --termination-message.',
  },
  terminationMessage: {
    schema: setting.text(),
    value: 'FILE',
    help: 'With --run: where the outcome is written as JSON of at most 4096 bytes.',
  },
  cloudsYaml: {
    schema: setting.text(),
    value: 'FILE',
    help: 'clouds.yaml with the cloud of the plan. Default: OS_CLIENT_CONFIG_FILE, ./clouds.yaml, ~/.config/openstack, /etc/openstack.',
  },
  cacert: {
    schema: setting.text(),
    value: 'FILE',
    help: 'Certificate authorities of that cloud, as PEM. Default: the file named in clouds.yaml, or those of the system.',
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
    help: 'clouds.yaml with the cloud of an image to copy. Default: that of the plan.',
  },
  ...egressSettings,
  ...trustSettings,
} as const satisfies Settings;

export type TransferSettings = ValuesOf<typeof transferSettings>;
