import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { readSettings } from '../../src/commands/config.ts';
import { leaseName } from '../../src/commands/leadership.ts';
import { type RunSettings, runSettings } from '../../src/commands/settings.ts';
import { deploymentIn, type KubernetesObject, objectsWith, ofKind, rulesOf } from './objects.ts';

/** For each flag: the values by which a user sets it, and what the operator then has. None of them is its default. */
const reached: { [K in keyof RunSettings]: { values: object; has: RunSettings[K] } } = {
  kubeconfig: setting('kubeconfig', '/etc/cluster/kubeconfig'),
  namespaces: { values: { watchNamespaces: ['team-a', 'team-b'] }, has: ['team-a', 'team-b'] },
  selector: setting('selector', 'shard in (a,b)'),
  clusterName: setting('clusterName', 'prod'),
  watchSecrets: setting('watchSecrets', false),
  workers: setting('workers', 32),
  transfers: setting('transfers', 8),
  transfersPerCloud: setting('transfersPerCloud', 7),
  transfersPerHost: setting('transfersPerHost', 6),
  transferLimits: { values: { transferLimits: { total: 5 } }, has: '/etc/glance-image-operator/transfer-limits.yaml' },
  maxImageSizeGiB: setting('maxImageSize', 1_000_000),
  maxVirtualSizeGiB: setting('maxVirtualSize', 7_654_321),
  sourceStallSeconds: setting('sourceStallSeconds', 30),
  sourceAllow: setting('sourceAllow', ['127.0.0.1', '10.0.0.0/8']),
  sourceDeny: setting('sourceDeny', ['*.example.org']),
  leaderElect: setting('leaderElect', false),
  leaseName: setting('leaseName', 'images'),
  leaseNamespace: setting('leaseNamespace', 'leases'),
  leaseDuration: { values: { settings: { leaseDuration: '1m' } }, has: 60_000 },
  leaseRenewDeadline: { values: { settings: { leaseRenewDeadline: '12s' } }, has: 12_000 },
  leaseRetry: { values: { settings: { leaseRetry: '1500ms' } }, has: 1500 },
  healthAddress: { values: { healthPort: 9440 }, has: ':9440' },
  drainSeconds: setting('drainSeconds', 600),
  transfersOnStop: setting('transfersOnStop', 'drain'),
  logLevel: setting('logLevel', 'debug'),
};

function setting<T>(name: string, value: T): { values: object; has: T } {
  return { values: { settings: { [name]: value } }, has: value };
}

/** The settings as the operator reads them from the arguments that the chart gives it. */
function settingsIn(objects: readonly KubernetesObject[]): RunSettings {
  const [command, ...args] = deploymentIn(objects).container.args;
  assert.equal(command, 'run');
  return readSettings(runSettings, args, {});
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });

describe('the settings of the operator', () => {
  test('every flag can be set by the chart, and arrives as it was meant', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'values-'));
    t.after(() => rm(directory, { recursive: true }));
    const { leaderElect, ...electing } = reached;
    // One file each, as a person would keep them: what is read from files is converted in another way than `--set`.
    const values = await Promise.all(
      Object.entries(electing).map(async ([name, { values: given }]) => {
        const file = join(directory, `${name}.json`);
        await writeFile(file, JSON.stringify(given));
        return file;
      }),
    );
    const all = settingsIn(await objectsWith([], { values }));
    const wanted = Object.fromEntries(Object.entries(electing).map(([name, { has }]) => [name, has]));
    assert.deepEqual(all, { ...wanted, leaderElect: true });
    const alone = settingsIn(await objectsWith(['settings.leaderElect=false']));
    assert.equal(alone.leaderElect, leaderElect.has);
    const unset = Object.entries(readSettings(runSettings, [], {})).filter(([name, value]) =>
      isDeepStrictEqual(Object.entries(reached).find(([other]) => other === name)?.[1].has, value),
    );
    assert.deepEqual(unset, [], 'these are at their defaults, and show nothing');
  });

  test('where nothing is said, all is as the program has it, but for the name of the Lease', async () => {
    const { healthAddress, leaseName: name, ...others } = settingsIn(await objectsWith([]));
    const { healthAddress: _, leaseName: __, ...defaults } = readSettings(runSettings, [], {});
    assert.deepEqual(others, defaults);
    assert.equal(healthAddress, ':8081');
    assert.equal(name, 'images-glance-image-operator');
  });

  test('the right to renew is for the very Lease that the operator takes, whatever its selector', async () => {
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

  test('the Pod has more time to end than the operator takes, and is alone where nobody is elected', async () => {
    const usual = deploymentIn(await objectsWith([]));
    const longer = deploymentIn(await objectsWith(['settings.drainSeconds=600']));
    const alone = deploymentIn(await objectsWith(['settings.leaderElect=false']));
    const { drainSeconds } = readSettings(runSettings, [], {});
    assert.equal(usual.pod.terminationGracePeriodSeconds, drainSeconds + 10);
    assert.equal(longer.pod.terminationGracePeriodSeconds, 610);
    assert.deepEqual([usual.strategy.type, alone.strategy.type], ['RollingUpdate', 'Recreate']);
  });

  test('limits of transfers lie in the file that the operator reads', async () => {
    const objects = await objectsWith(['transferLimits.total=20', 'transferLimits.perHost=2']);
    const { data } = configMap.parse(ofKind(objects, 'ConfigMap'));
    assert.deepEqual(data, { 'transfer-limits.yaml': 'perHost: 2\ntotal: 20\n' });
  });
});
