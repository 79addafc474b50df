import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { leaseName } from '../../src/commands/leadership.ts';
import { type RunSettings, runSettings } from '../../src/commands/settings.ts';
import { readSettings } from '../../src/lib/config.ts';
import { deploymentIn, type KubernetesObject, objectsWith, ofKind, rulesOf } from './objects.ts';

/** For each flag: how a user sets it by the chart, and what the operator then has. None of them is its default. */
const reached: { [K in keyof RunSettings]: { set: string; value: RunSettings[K] } } = {
  kubeconfig: { set: 'settings.kubeconfig=/etc/cluster/kubeconfig', value: '/etc/cluster/kubeconfig' },
  namespaces: { set: 'watchNamespaces={team-a,team-b}', value: ['team-a', 'team-b'] },
  selector: { set: 'settings.selector=shard in (a\\,b)', value: 'shard in (a,b)' },
  clusterName: { set: 'settings.clusterName=prod', value: 'prod' },
  watchSecrets: { set: 'settings.watchSecrets=false', value: false },
  workers: { set: 'settings.workers=32', value: 32 },
  transfers: { set: 'settings.transfers=8', value: 8 },
  transfersPerCloud: { set: 'settings.transfersPerCloud=7', value: 7 },
  transfersPerHost: { set: 'settings.transfersPerHost=6', value: 6 },
  transferLimits: { set: 'transferLimits.total=5', value: '/etc/glance-operator/transfer-limits.yaml' },
  // From a million on, helm would write 1e+06.
  maxImageSize: { set: 'settings.maxImageSize=1000000', value: 1_000_000 },
  maxVirtualSize: { set: 'settings.maxVirtualSize=7654321', value: 7_654_321 },
  sourceStallSeconds: { set: 'settings.sourceStallSeconds=30', value: 30 },
  sourceAllow: { set: 'settings.sourceAllow={127.0.0.1,10.0.0.0/8}', value: ['127.0.0.1', '10.0.0.0/8'] },
  sourceDeny: { set: 'settings.sourceDeny={*.example.org}', value: ['*.example.org'] },
  leaderElect: { set: 'settings.leaderElect=false', value: false },
  leaseName: { set: 'settings.leaseName=images', value: 'images' },
  leaseNamespace: { set: 'settings.leaseNamespace=leases', value: 'leases' },
  leaseDuration: { set: 'settings.leaseDuration=1m', value: 60_000 },
  leaseRenewDeadline: { set: 'settings.leaseRenewDeadline=12s', value: 12_000 },
  leaseRetry: { set: 'settings.leaseRetry=1500ms', value: 1500 },
  healthAddress: { set: 'healthPort=9440', value: ':9440' },
  drainSeconds: { set: 'settings.drainSeconds=600', value: 600 },
  transfersOnStop: { set: 'settings.transfersOnStop=drain', value: 'drain' },
  logLevel: { set: 'settings.logLevel=debug', value: 'debug' },
};

/** The settings as the operator reads them from the arguments that the chart gives it. */
function settingsIn(objects: readonly KubernetesObject[]): RunSettings {
  const [command, ...args] = deploymentIn(objects).container.args;
  assert.equal(command, 'run');
  return readSettings(runSettings, args, {});
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });

describe('the settings of the operator', () => {
  test('every flag can be set by the chart, and arrives as it was meant', async () => {
    const electing = Object.entries(reached).filter(([name]) => name !== 'leaderElect');
    const all = settingsIn(await objectsWith(electing.map(([, { set }]) => set)));
    const wanted = Object.fromEntries(Object.entries(reached).map(([name, { value }]) => [name, value]));
    assert.deepEqual(all, { ...wanted, leaderElect: true });
    assert.equal(settingsIn(await objectsWith([reached.leaderElect.set])).leaderElect, false);
    assert.notDeepEqual(readSettings(runSettings, [], {}), all);
  });

  test('where nothing is said, all is as the program has it, but for the name of the Lease', async () => {
    const { healthAddress, leaseName: name, ...others } = settingsIn(await objectsWith([]));
    const { healthAddress: _, leaseName: __, ...defaults } = readSettings(runSettings, [], {});
    assert.deepEqual(others, defaults);
    assert.equal(healthAddress, ':8081');
    assert.equal(name, 'images-glance-operator');
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
