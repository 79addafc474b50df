import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { chart, helm, template } from '../../charts/helm.ts';

/** helm's error message for these values, which the chart must reject. */
async function rejection(...set: string[]): Promise<string> {
  const ended = await template({ name: 'images', namespace: 'images-system', set });
  assert.equal(ended.kind, 'rejected', 'the values were accepted');
  return ended.kind === 'rejected' ? ended.stderr : '';
}

const cases: readonly { what: string; set: readonly string[]; message: RegExp }[] = [
  {
    what: 'a NetworkPolicy without the addresses of the API server',
    set: ['networkPolicy.enabled=true'],
    message: /networkPolicy\.enabled requires networkPolicy\.apiServer\.to.*ports 443, 6443 of every address/,
  },
  ...['dns', 'apiServer'].map((rule) => ({
    what: `a NetworkPolicy without ports for ${rule}`,
    set: [
      'networkPolicy.enabled=true',
      'networkPolicy.apiServer.to[0].ipBlock.cidr=192.0.2.10/32',
      `networkPolicy.${rule}.ports=null`,
    ],
    message: new RegExp(`networkPolicy\\.${rule}\\.ports is empty.*opens every port of its peers`),
  })),
  {
    what: 'a value that does not exist',
    set: ['replicas=2'],
    message: /additional properties 'replicas' not allowed/,
  },
  {
    what: 'a misspelt value in a group',
    set: ['metrics.serviceMonitor.enable=true'],
    message: /at '\/metrics\/serviceMonitor': additional properties 'enable' not allowed/,
  },
  {
    what: 'a setting that the operator does not have',
    set: ['settings.worker=2'],
    message: /at '\/settings': additional properties 'worker' not allowed/,
  },
  {
    what: 'a kubeconfig, which the Pod does not have,',
    set: ['settings.kubeconfig=/kubeconfig'],
    message: /additional properties 'kubeconfig' not allowed/,
  },
  {
    what: 'a limit of transfers among the settings',
    set: ['settings.transfers=8'],
    message: /additional properties 'transfers' not allowed/,
  },
  {
    what: 'a setting that exceeds its limit',
    set: ['settings.workers=1000'],
    message: /'\/settings\/workers'.*maximum.*100/,
  },
  { what: 'a setting of the wrong type', set: ['settings.leaderElect=maybe'], message: /got string, want boolean/ },
  {
    what: 'an unknown choice of a setting',
    set: ['settings.logLevel=loud'],
    message: /must be one of 'trace', 'debug'/,
  },
  { what: 'an unknown transfer limit', set: ['transferLimits.perCluod=1'], message: /'perCluod' not allowed/ },
  {
    what: 'a change of an alert that does not exist',
    set: ['metrics.prometheusRule.alerts.GlanceImageOperatorDwon.enabled=false'],
    message: /'GlanceImageOperatorDwon' not allowed/,
  },
  {
    what: 'a threshold of an alert that has none',
    set: ['metrics.prometheusRule.alerts.GlanceImageOperatorDown.threshold=2'],
    message: /at '\/metrics\/prometheusRule\/alerts\/GlanceImageOperatorDown': additional properties 'threshold'/,
  },
  { what: 'a tag as a digest', set: ['image.digest=v1.0.0'], message: /'\/image\/digest'.*does not match/ },
  { what: 'an invalid namespace', set: ['watchNamespaces={Team_A}'], message: /'\/watchNamespaces\/0'/ },
  { what: 'a pull secret without a name', set: ['global.imagePullSecrets[0].x=y'], message: /imagePullSecrets\/0/ },
  {
    what: 'namespaces without a cluster name',
    set: ['watchNamespaces={a}'],
    message:
      /watchNamespaces requires settings\.clusterName: .*Set settings\.clusterName to a name that no other cluster/,
  },
  {
    what: 'several replicas without leader election',
    set: ['replicaCount=2', 'settings.leaderElect=false'],
    message: /all Pods would work at once\. Enable leader election, or set replicaCount to 1\./,
  },
  {
    what: 'a rolling update without leader election',
    set: ['strategy.type=RollingUpdate', 'settings.leaderElect=false'],
    message: /strategy\.type must be Recreate: otherwise two Pods would work at once/,
  },
  {
    what: 'a grace period that is shorter than the operator needs',
    set: ['terminationGracePeriodSeconds=60', 'settings.drainSeconds=55'],
    message: /is 60, but the operator may need 65 seconds to end: .*Increase it, or reduce settings\.drainSeconds\./,
  },
  {
    what: 'a missing ServiceAccount',
    set: ['serviceAccount.create=false'],
    message: /serviceAccount\.name is empty: set the name of an existing ServiceAccount/,
  },
  {
    what: 'a ServiceMonitor without a Service',
    set: ['metrics.serviceMonitor.enabled=true', 'metrics.service.enabled=false'],
    message: /requires metrics\.service\.enabled\. Without a Service, use metrics\.podMonitor/,
  },
  {
    what: 'two monitors of the same Pods',
    set: ['metrics.serviceMonitor.enabled=true', 'metrics.podMonitor.enabled=true'],
    message: /every sample would be counted twice/,
  },
  ...[
    '--selector=a=b',
    '--transfers=8',
    '--transfers-per-namespace=1',
    '--transfer-limits=/file',
    '--ca-bundle=/file',
    '--transfer-job-above=1Gi',
  ].map((argument) => ({
    what: `the argument ${argument}, on which other objects depend,`,
    set: [`extraArgs={${argument}}`],
    message: new RegExp(`extraArgs contains ${argument}, on which other objects of the chart depend`),
  })),
  {
    what: 'an environment variable of a setting',
    set: ['extraEnv[0].name=GLANCE_IMAGE_OPERATOR_SELECTOR', 'extraEnv[0].value=x'],
    message: /extraEnv contains GLANCE_IMAGE_OPERATOR_SELECTOR\. Set variables GLANCE_IMAGE_OPERATOR_… with settings/,
  },
  ...['sources', 'clouds'].flatMap((kind) => [
    {
      what: `a password in the URL of the proxy of ${kind}`,
      set: [`proxy.${kind}.url=http://user:password@squid:3128`],
      message: new RegExp(
        `proxy\\.${kind}\\.url contains a user or password.* proxy\\.${kind}\\.credentialsSecret\\.name`,
      ),
    },
    {
      what: `credentials of ${kind} without a proxy`,
      set: [`proxy.${kind}.credentialsSecret.name=squid`],
      message: new RegExp(`proxy\\.${kind}\\.url is empty: set the URL of the proxy`),
    },
  ]),
  ...['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'ALL_PROXY', 'NO_PROXY', 'NODE_USE_ENV_PROXY'].map((name) => ({
    what: `the proxy variable ${name}`,
    set: [`extraEnv[0].name=${name}`, 'extraEnv[0].value=http://proxy:3128'],
    message: new RegExp(
      `extraEnv contains ${name}, which the operator ignores\\. Set proxy\\.sources\\.url and proxy\\.clouds\\.url`,
    ),
  })),
];

describe('values that the chart rejects', () => {
  for (const { what, set, message } of cases) {
    test(`the chart rejects ${what} with a message that helps`, async () =>
      assert.match(await rejection(...set), message));
  }

  test('the chart accepts an environment variable that is no proxy variable', async () => {
    const set = ['extraEnv[0].name=NODE_EXTRA_CA_CERTS', 'extraEnv[0].value=/ca.crt'];
    const ended = await template({ name: 'images', namespace: 'images-system', set });
    assert.equal(ended.kind, 'done', ended.kind === 'rejected' ? ended.stderr : '');
  });

  test('an umbrella chart can have a condition and globals of its own', async (t) => {
    const umbrella = await mkdtemp(join(tmpdir(), 'umbrella-'));
    t.after(() => rm(umbrella, { recursive: true }));
    const dependencies = [{ name: 'glance-image-operator', version: '*', condition: 'glance-image-operator.enabled' }];
    const definition = { apiVersion: 'v2', name: 'umbrella', version: '1.0.0', dependencies };
    const values = { 'glance-image-operator': { enabled: true }, global: { storageClass: 'fast' } };
    await mkdir(join(umbrella, 'charts'));
    await cp(chart, join(umbrella, 'charts/glance-image-operator'), { recursive: true });
    await writeFile(join(umbrella, 'Chart.yaml'), JSON.stringify(definition));
    await writeFile(join(umbrella, 'values.yaml'), JSON.stringify(values));
    const ended = await helm('template', 'images', umbrella);
    assert.equal(ended.kind, 'done', ended.kind === 'rejected' ? ended.stderr : '');
    assert.match(ended.kind === 'done' ? ended.stdout : '', /^kind: Deployment$/m);
  });

  test('helm lint reports nothing', async () => {
    const ended = await helm('lint', '--strict', chart);
    assert.equal(ended.kind, 'done', ended.kind === 'rejected' ? ended.stderr : '');
    const remarks = ended.kind === 'done' ? (ended.stdout.match(/^\[.*$/gm) ?? []) : undefined;
    assert.deepEqual(remarks, []);
  });
});
