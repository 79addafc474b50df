import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { chartSettings, outsideTheChart, settingsOfTheChart } from '../../charts/settings.ts';
import { readSettings } from '../../src/commands/config.ts';
import { leaseName } from '../../src/commands/leadership.ts';
import { transferLimitsSchema } from '../../src/commands/limits.ts';
import { type RunSettings, runSettings } from '../../src/commands/settings.ts';
import { deploymentIn, type KubernetesObject, objectsWith, ofKind, rulesOf } from './objects.ts';

const limitsFile = '/etc/glance-image-operator/transfer-limits.yaml';

/** Flags that the chart never sets: those of `outsideTheChart`, and the limits, which are in the file. */
type Unset =
  | 'kubeconfig'
  | 'transfers'
  | 'transfersPerNamespace'
  | 'transfersPerCloud'
  | 'transfersPerHost'
  | 'transferLimits';

/** For each flag: values that set it, and the setting that the operator then reads. None of them is its default. */
const reached: { [K in Exclude<keyof RunSettings, Unset>]: { values: object; has: RunSettings[K] } } = {
  namespaces: { values: { watchNamespaces: ['team-a', 'team-b'] }, has: ['team-a', 'team-b'] },
  selector: setting('selector', 'shard in (a,b)'),
  clusterName: setting('clusterName', 'prod'),
  inheritFrom: setting('inheritFrom', ['staging']),
  watchSecrets: setting('watchSecrets', true),
  workers: setting('workers', 32),
  transferJobAbove: { values: { transferJobs: { above: '3Gi' } }, has: 3 * 2 ** 30 },
  transferJobTemplate: {
    values: { transferJobs: { above: '3Gi' } },
    has: '/etc/glance-image-operator-jobs/transfer-jobs.yaml',
  },
  maxImageSizeGiB: setting('maxImageSizeGiB', 1_000_000),
  maxVirtualSizeGiB: setting('maxVirtualSizeGiB', 7_654_321),
  sourceStallSeconds: setting('sourceStallSeconds', 30),
  gptSafetyChecksNonfatal: setting('gptSafetyChecksNonfatal', ['mbr', 'gptmbr']),
  sourceAllow: setting('sourceAllow', ['127.0.0.1', '10.0.0.0/8']),
  cloudAllow: setting('cloudAllow', ['openstack.svc', '10.96.0.0/12']),
  clusterCIDR: setting('clusterCIDR', ['10.96.0.0/12', '10.244.0.0/16']),
  nat64Prefix: setting('nat64Prefix', ['2001:db8:64::/96']),
  sourceDeny: setting('sourceDeny', ['*.example.org']),
  leaderElect: setting('leaderElect', false),
  leaseName: setting('leaseName', 'images'),
  leaseNamespace: setting('leaseNamespace', 'leases'),
  leaseDuration: { values: { settings: { leaseDuration: '1m' } }, has: 60_000 },
  leaseRenewDeadline: { values: { settings: { leaseRenewDeadline: '12s' } }, has: 12_000 },
  leaseRetry: { values: { settings: { leaseRetry: '1500ms' } }, has: 1500 },
  healthAddress: { values: { healthPort: 9440 }, has: ':9440' },
  metricsAddress: { values: { metrics: { secure: { enabled: true, port: 9443 } } }, has: ':9443' },
  metricsCertificate: {
    values: { metrics: { secure: { enabled: true, certificateSecret: { name: 'certificate' } } } },
    has: '/etc/glance-image-operator-metrics',
  },
  caBundle: { values: { caBundle: { configMap: 'authorities' } }, has: '/etc/glance-image-operator-ca/ca.crt' },
  sourceProxy: proxy('sources', 'http://squid.example.com:3128', 'url'),
  sourceProxyCredentials: {
    values: { proxy: { sources: { credentialsSecret: { name: 'squid' } } } },
    has: '/etc/glance-image-operator-proxy/sources/credentials',
  },
  sourceNoProxy: proxy('sources', ['.svc', '10.0.0.0/8:8080', '[2001:db8::1]:80'], 'noProxy'),
  cloudProxy: proxy('clouds', 'https://gate.example.com', 'url'),
  cloudProxyCredentials: {
    values: { proxy: { clouds: { credentialsSecret: { name: 'squid' } } } },
    has: '/etc/glance-image-operator-proxy/clouds/credentials',
  },
  cloudNoProxy: proxy('clouds', ['*.example.com'], 'noProxy'),
  drainSeconds: setting('drainSeconds', 600),
  transfersOnStop: setting('transfersOnStop', 'drain'),
  logLevel: setting('logLevel', 'debug'),
};

function setting<T>(name: string, value: T): { values: object; has: T } {
  return { values: { settings: { [name]: value } }, has: value };
}

function proxy<T>(kind: 'sources' | 'clouds', value: T, name: string): { values: object; has: T } {
  return { values: { proxy: { [kind]: { [name]: value } } }, has: value };
}

/** The settings that the operator reads from the arguments in the Deployment. */
function settingsIn(objects: readonly KubernetesObject[]): RunSettings {
  const [command, ...args] = deploymentIn(objects).container.args;
  assert.equal(command, 'run');
  return readSettings(runSettings, args, {});
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });

/** What the operator reads from the mounted file. */
function limitsIn(objects: readonly KubernetesObject[]): unknown {
  const { data } = configMap.parse(ofKind(objects, 'ConfigMap'));
  return transferLimitsSchema.parse(parse(data['transfer-limits.yaml'] ?? ''));
}

const defaults = readSettings(runSettings, [], {});

describe('the settings of the operator in the chart', () => {
  test('every flag is set by one value of the chart, or is listed as one that the chart does not set', () => {
    const names = [...chartSettings().map(({ name }) => name), ...Object.keys(settingsOfTheChart), ...outsideTheChart];
    assert.deepEqual(names.sort(), Object.keys(runSettings).sort());
  });

  test('the operator reads every setting as the values of the chart declare it', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'values-'));
    t.after(() => rm(directory, { recursive: true }));
    const { leaderElect, ...electing } = reached;
    // Files, because helm converts the values of files differently from those of `--set`.
    const values = await Promise.all(
      Object.entries(electing).map(async ([name, { values: given }]) => {
        const file = join(directory, `${name}.json`);
        await writeFile(file, JSON.stringify(given));
        return file;
      }),
    );
    const all = settingsIn(await objectsWith([], { values }));
    const wanted = Object.fromEntries(Object.entries(electing).map(([name, { has }]) => [name, has]));
    assert.deepEqual(all, { ...defaults, ...wanted, transferLimits: limitsFile });
    const alone = settingsIn(await objectsWith(['settings.leaderElect=false']));
    assert.equal(alone.leaderElect, leaderElect.has);
    const unset = Object.entries(defaults).filter(([name, value]) =>
      isDeepStrictEqual(Object.entries(reached).find(([other]) => other === name)?.[1].has, value),
    );
    const unreached = unset.filter(([name]) => Object.hasOwn(reached, name));
    assert.deepEqual(unreached, [], 'these have their default value, which proves nothing');
  });

  test('without values, the operator has the defaults of the program, except for the name of the Lease', async () => {
    const objects = await objectsWith([]);
    assert.deepEqual(settingsIn(objects), {
      ...defaults,
      leaseName: 'images-glance-image-operator',
      transferLimits: limitsFile,
    });
    assert.deepEqual(limitsIn(objects), {
      total: defaults.transfers,
      perNamespace: defaults.transfersPerNamespace,
      perCloud: defaults.transfersPerCloud,
      perHost: defaults.transfersPerHost,
    });
  });

  test('the permission to renew is for the Lease that the operator holds, whatever its selector is', async () => {
    for (const set of [
      [],
      ['settings.selector=shard in (a\\,b)'],
      ['settings.leaseName=x', 'settings.selector=a!=b'],
    ]) {
      const objects = await objectsWith(set);
      const named = rulesOf(ofKind(objects, 'Role')).filter(({ resourceNames }) => resourceNames !== undefined);
      assert.deepEqual(named, [
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          resourceNames: [leaseName(settingsIn(objects))],
          verbs: ['get', 'update'],
        },
      ]);
    }
  });

  test('the Pod has a longer grace period than the operator needs, and without leader election it is replaced', async () => {
    const usual = deploymentIn(await objectsWith([]));
    const longer = deploymentIn(await objectsWith(['settings.drainSeconds=600']));
    const alone = deploymentIn(await objectsWith(['settings.leaderElect=false']));
    assert.equal(usual.pod.terminationGracePeriodSeconds, defaults.drainSeconds + 10);
    assert.equal(longer.pod.terminationGracePeriodSeconds, 610);
    assert.deepEqual([usual.strategy.type, alone.strategy.type], ['RollingUpdate', 'Recreate']);
  });

  test('the key of the ConfigMap with certificates is mounted as the file that the operator reads, as a directory that is updated', async () => {
    const objects = await objectsWith(['caBundle.configMap=authorities', 'caBundle.key=trust-bundle.pem']);
    const { pod, container } = deploymentIn(objects);
    const volume = z.array(z.looseObject({ name: z.string(), configMap: z.unknown() })).parse(pod['volumes']);
    assert.deepEqual(volume.find(({ name }) => name === 'ca-bundle')?.configMap, {
      name: 'authorities',
      items: [{ key: 'trust-bundle.pem', path: 'ca.crt' }],
    });
    const mounts = z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).parse(container['volumeMounts']);
    const { caBundle = '' } = settingsIn(objects);
    assert.deepEqual(
      mounts.filter(({ name }) => name === 'ca-bundle'),
      [{ name: 'ca-bundle', mountPath: dirname(caBundle), readOnly: true }],
    );
  });

  test('the Secrets with the credentials of proxies are mounted as the files that the operator reads, as directories that are updated', async () => {
    const set = ['sources', 'clouds'].flatMap((kind) => [
      `proxy.${kind}.url=http://squid:3128`,
      `proxy.${kind}.credentialsSecret.name=of-${kind}`,
      `proxy.${kind}.credentialsSecret.key=login`,
    ]);
    const objects = await objectsWith(set);
    const { pod, container } = deploymentIn(objects);
    const volumes = z.array(z.looseObject({ name: z.string(), secret: z.unknown().optional() })).parse(pod['volumes']);
    const mounts = z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).parse(container['volumeMounts']);
    const { sourceProxyCredentials = '', cloudProxyCredentials = '' } = settingsIn(objects);
    for (const [kind, file] of [
      ['sources', sourceProxyCredentials],
      ['clouds', cloudProxyCredentials],
    ] as const) {
      assert.deepEqual(volumes.find(({ name }) => name === `proxy-of-${kind}`)?.secret, {
        secretName: `of-${kind}`,
        items: [{ key: 'login', path: 'credentials' }],
      });
      assert.deepEqual(
        mounts.filter(({ name }) => name === `proxy-of-${kind}`),
        [{ name: `proxy-of-${kind}`, mountPath: dirname(file), readOnly: true }],
      );
      assert.equal(basename(file), 'credentials');
    }
  });

  test('a changed transfer limit is in the file that the operator reads, and changes no Pod', async () => {
    const before = await objectsWith([]);
    const after = await objectsWith(['transferLimits.total=20', 'transferLimits.perHost=2']);
    assert.deepEqual(limitsIn(after), {
      total: 20,
      perNamespace: defaults.transfersPerNamespace,
      perCloud: defaults.transfersPerCloud,
      perHost: 2,
    });
    assert.deepEqual(ofKind(after, 'Deployment'), ofKind(before, 'Deployment'));
  });
});
