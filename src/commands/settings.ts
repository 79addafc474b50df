/** The settings of `glance-operator run`. */
import { z } from 'zod';
import { type Settings, setting, type ValuesOf } from '../lib/config.ts';
import { logLevels } from '../lib/log.ts';

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
  clusterName: {
    schema: setting.text(),
    value: 'NAME',
    help: 'Name of this cluster in the owner mark of images. Default: the uid of the namespace kube-system.',
  },
  workers: {
    schema: setting.count(1, 100, 8),
    value: 'N',
    help: 'How many resources are reconciled at once. Default: 8.',
  },
  transfers: {
    schema: setting.count(1, 100, 4),
    value: 'N',
    help: 'How many transfers run at once. Default: 4.',
  },
  sourceAllow: {
    schema: setting.list(),
    value: 'HOST|CIDR,…',
    help: 'Hosts and networks that may be connected to although they are refused by default (loopback, link-local, metadata).',
  },
  sourceDeny: {
    schema: setting.list(),
    value: 'HOST|CIDR,…',
    help: 'Hosts and networks that are never connected to, for sources and clouds alike.',
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
  logLevel: {
    schema: z.enum(logLevels).default('info'),
    value: 'LEVEL',
    help: `One of ${logLevels.join(', ')}. Default: info.`,
  },
} as const satisfies Settings;

export type RunSettings = ValuesOf<typeof runSettings>;
