/**
 * The purpose of each permission of the chart, shown by an operator without it.
 *
 * Invariant: a permission without a case here is not needed, and a case without its symptom proves nothing.
 */
import assert from 'node:assert/strict';
import { exitCodes } from '../../src/commands/exit.ts';
import type { Permission } from './chart.ts';
import type { Installation, InstallationOptions } from './installation.ts';
import { applyFederated, applyPublished, changeConfigMap, correctDriftTwice, federatedAccount } from './main-job.ts';
import { eventsOf, readiness } from './seen.ts';

export interface Case {
  /** What an operator without it does, as the end of a sentence. */
  symptom: string;
  options?: InstallationOptions;
  show(installation: Installation): Promise<void>;
}

/** Short, and long enough for one renewal to be tried on a machine that has much else to do. */
const shortLease = { leaseDuration: '6s', leaseRenewDeadline: '5s', leaseRetry: '1s' };

/** Starts it, and waits for what it cannot do. */
async function startAndFail(installation: Installation, verb: string, resource: string): Promise<void> {
  await installation.start('Serving probes and metrics');
  await installation.untilForbidden(verb, resource);
}

/** By default the chart grants neither list nor watch on Secrets. */
const watchesSecrets: InstallationOptions = { settings: { watchSecrets: true } };

/** Nor any right on ConfigMaps. */
const publishes: InstallationOptions = { values: { publish: { enabled: true } } };

const neverSees = (verb: string, resource: string, options: InstallationOptions = {}): Case => ({
  symptom: 'is not ready, and names the list that is missing',
  options,
  async show(installation) {
    await startAndFail(installation, verb, resource);
    assert.match(await readiness(installation.operator), new RegExp(`${resource}.*the initial list has not completed`));
  },
});

const neverLeads = (verb: string): Case => ({
  symptom: 'never leads',
  async show(installation) {
    await startAndFail(installation, verb, 'leases');
    assert.ok(!installation.operator.log.some((line) => line.includes('"msg":"Leading"')));
  },
});

/** Without a right on the ServiceAccount whose token a resource signs in with. */
const neverSignsIn = (verb: string, resource: string, what: string): Case => ({
  symptom: `does not ${what} that a resource signs in with, and says which value of the chart allows it`,
  options: { tokensOf: [federatedAccount] },
  async show(installation) {
    await installation.start();
    const name = `cannot-${verb}`;
    await applyFederated(installation, name);
    await installation.untilForbidden(verb, resource);
    const { status } = await installation.world.reason(name, 'ServiceAccountForbidden');
    assert.match(status.lastError?.message ?? '', /List it in the value serviceAccountTokens of the chart/);
  },
});

const images = 'glance-image-operator.dev/glanceimages';

export const cases: Record<Permission, Case> = {
  'get namespaces': {
    symptom: 'does not start, and says to name the cluster',
    options: { watch: 'cluster' },
    show: (installation) =>
      assert.rejects(installation.start(), /may not read the namespace kube-system.*--cluster-name/),
  },
  [`list ${images}`]: neverSees('list', 'glanceimages'),
  'list secrets': neverSees('list', 'secrets', watchesSecrets),
  [`watch ${images}`]: {
    symptom: 'does not see what is declared after its start',
    async show(installation) {
      await installation.start();
      await installation.untilForbidden('watch', 'glanceimages');
      await installation.apply('unseen');
      await installation.untilRefusedAgain('/glanceimages?');
      assert.equal(await seenGeneration(installation, 'unseen'), -1);
    },
  },
  'watch secrets': {
    symptom: 'does not see that a Secret was corrected',
    options: watchesSecrets,
    async show(installation) {
      await installation.start();
      await installation.untilForbidden('watch', 'secrets');
      const secretName = `mended-${installation.name}`;
      await installation.world.writeSecret(secretName, { 'cloud.yaml': 'x' });
      await installation.apply('waiting', { cloud: { secretRef: { name: secretName }, name: 'demo' } });
      await installation.world.reason('waiting', 'SecretInvalid');
      await installation.world.writeSecret(secretName, {
        'clouds.yaml': await installation.world.project.cloudsYaml(),
      });
      // Other changes show that it had the time.
      await installation.apply('seen');
      await installation.world.ready('seen');
      await installation.world.reason('waiting', 'SecretInvalid');
    },
  },
  'get secrets': {
    symptom: 'gets into no cloud',
    async show(installation) {
      await installation.start();
      await installation.apply('no-secret');
      await installation.untilForbidden('get', 'secrets');
      assert.equal((await installation.world.get('no-secret'))?.status.imageID, undefined);
    },
  },
  [`patch ${images}`]: {
    symptom: 'makes nothing, because it could not guard it by its finalizer',
    async show(installation) {
      await installation.start();
      await installation.apply('no-finalizer');
      await installation.untilForbidden('patch', 'glanceimages');
      const names = (await installation.world.images()).map(({ name }) => name);
      assert.ok(!names.includes('no-finalizer'));
    },
  },
  [`get ${images}`]: {
    symptom: 'changes no image',
    async show(installation) {
      await installation.start();
      await installation.raceForFinalizer('raced', 'example.com/foreign');
      await installation.untilForbidden('get', 'glanceimages');
    },
  },
  [`patch ${images}/status`]: {
    symptom: 'cannot say what it did',
    async show(installation) {
      await installation.start();
      await installation.apply('no-status');
      await installation.untilForbidden('patch', 'glanceimages/status');
      assert.equal(await seenGeneration(installation, 'no-status'), -1);
    },
  },
  'create events.k8s.io/events': {
    symptom: 'does its work without an event',
    async show(installation) {
      await installation.start();
      await installation.apply('no-event');
      await installation.world.ready('no-event');
      await installation.untilForbidden('create', 'events');
      assert.deepEqual(await eventsOf(installation, 'no-event'), []);
    },
  },
  'patch events.k8s.io/events': {
    symptom: 'does not count an event that comes again',
    async show(installation) {
      await installation.start();
      await installation.apply('uncounted');
      const { status } = await installation.world.ready('uncounted');
      await correctDriftTwice(installation, 'uncounted', status.imageID);
      await installation.untilForbidden('patch', 'events');
      const counts = (await eventsOf(installation, 'uncounted')).map(({ count }) => count);
      assert.ok(counts.every((count) => count === 1));
    },
  },
  'get configmaps': {
    symptom: 'publishes nothing, and says which value of the chart allows it',
    options: publishes,
    async show(installation) {
      await installation.start();
      await applyPublished(installation, 'unread');
      await installation.untilForbidden('get', 'configmaps');
      const { status } = await installation.world.reason('unread', 'PublishForbidden');
      assert.match(status.lastError?.message ?? '', /set publish\.enabled in the values of its chart/);
    },
  },
  'create configmaps': {
    symptom: 'creates no ConfigMap, and says which value of the chart allows it',
    options: publishes,
    async show(installation) {
      await installation.start();
      await applyPublished(installation, 'uncreated');
      await installation.untilForbidden('create', 'configmaps');
      await installation.world.reason('uncreated', 'PublishForbidden');
    },
  },
  'patch configmaps': {
    symptom: 'does not correct a ConfigMap that was changed',
    options: publishes,
    async show(installation) {
      await installation.start();
      await applyPublished(installation, 'uncorrected');
      await installation.world.ready('uncorrected');
      await changeConfigMap(installation, 'uncorrected');
      await installation.untilForbidden('patch', 'configmaps');
      await installation.world.reason('uncorrected', 'PublishForbidden');
    },
  },
  'delete configmaps': {
    symptom: 'does not delete a ConfigMap that is not declared any more',
    options: publishes,
    async show(installation) {
      await installation.start();
      await applyPublished(installation, 'undeleted');
      await installation.world.ready('undeleted');
      await installation.apply('undeleted');
      await installation.untilForbidden('delete', 'configmaps');
      await installation.world.reason('undeleted', 'PublishForbidden');
    },
  },
  'get serviceaccounts': neverSignsIn('get', 'serviceaccounts', 'read the ServiceAccount'),
  'create serviceaccounts/token': neverSignsIn(
    'create',
    'serviceaccounts/token',
    'request a token of the ServiceAccount',
  ),
  'get coordination.k8s.io/leases': neverLeads('get'),
  'create coordination.k8s.io/leases': neverLeads('create'),
  'update coordination.k8s.io/leases': {
    symptom: 'loses what it leads',
    options: { settings: shortLease },
    async show(installation) {
      const operator = await installation.start('Synced');
      assert.equal(await operator.ended, exitCodes.leaseLost);
      await installation.untilForbidden('update', 'leases');
    },
  },
};

async function seenGeneration({ world }: Installation, name: string): Promise<number | undefined> {
  return (await world.get(name))?.status.observedGeneration;
}
