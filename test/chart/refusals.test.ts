import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chart, helm, template } from '../../charts/helm.ts';

/** What the chart says to these values; it must refuse them. */
async function refusal(...set: string[]): Promise<string> {
  const ended = await template({ name: 'images', namespace: 'images-system', set });
  assert.equal(ended.kind, 'refused', 'it was accepted');
  return ended.kind === 'refused' ? ended.stderr : '';
}

/** Values that cannot be meant, and what is said to them. */
const cases: readonly { why: string; set: readonly string[]; words: RegExp }[] = [
  {
    why: 'a value that does not exist',
    set: ['replicaCount=2'],
    words: /additional properties 'replicaCount' not allowed/,
  },
  {
    why: 'a misspelt value further down',
    set: ['metrics.serviceMonitor.enable=true'],
    words: /at '\/metrics\/serviceMonitor': additional properties 'enable' not allowed/,
  },
  {
    why: 'a setting that is none of the operator',
    set: ['settings.worker=2'],
    words: /at '\/settings': additional properties 'worker' not allowed/,
  },
  { why: 'a setting out of its limits', set: ['settings.workers=1000'], words: /'\/settings\/workers'.*maximum.*100/ },
  { why: 'a setting of another type', set: ['settings.leaderElect=maybe'], words: /got string, want boolean/ },
  {
    why: 'a word that a setting does not know',
    set: ['settings.logLevel=loud'],
    words: /must be one of 'trace', 'debug'/,
  },
  {
    why: 'a limit of transfers that does not exist',
    set: ['transferLimits.perCluod=1'],
    words: /'perCluod' not allowed/,
  },
  { why: 'a tag where a digest belongs', set: ['image.digest=v1.0.0'], words: /'\/image\/digest'.*does not match/ },
  { why: 'a namespace that cannot be', set: ['watchNamespaces={Team_A}'], words: /'\/watchNamespaces\/0'/ },
  {
    why: 'namespaces without a name of the cluster',
    set: ['watchNamespaces={a}'],
    words: /watchNamespaces needs settings\.clusterName: .*Set it to a name that no other cluster has/,
  },
  {
    why: 'replicas that do not elect a leader',
    set: ['replicaCount=2', 'settings.leaderElect=false'],
    words: /they would all work at once\. Let them elect a leader, or run one\./,
  },
  {
    why: 'no ServiceAccount at all',
    set: ['serviceAccount.create=false'],
    words: /name the ServiceAccount that the operator is to use/,
  },
  {
    why: 'a ServiceMonitor of no Service',
    set: ['metrics.serviceMonitor.enabled=true', 'metrics.service.enabled=false'],
    words: /needs metrics\.service\.enabled: without a Service use metrics\.podMonitor/,
  },
  {
    why: 'two monitors of the same Pods',
    set: ['metrics.serviceMonitor.enabled=true', 'metrics.podMonitor.enabled=true'],
    words: /every sample would be counted twice/,
  },
  {
    why: 'an argument that other objects depend on',
    set: ['extraArgs={--selector=a=b}'],
    words: /extraArgs holds --selector=a=b, on which other objects of the chart depend/,
  },
  {
    why: 'a variable that other objects depend on',
    set: ['extraEnv[0].name=GLANCE_IMAGE_OPERATOR_SELECTOR', 'extraEnv[0].value=x'],
    words: /extraEnv holds GLANCE_IMAGE_OPERATOR_SELECTOR/,
  },
];

describe('values that cannot be meant are refused, in words that help', () => {
  for (const { why, set, words } of cases) {
    test(why, async () => assert.match(await refusal(...set), words));
  }

  test('what a chart above this one hands down is accepted', async () => {
    const ended = await template({
      name: 'images',
      namespace: 'images-system',
      set: ['enabled=true', 'global.storageClass=fast'],
    });
    assert.equal(ended.kind, 'done');
  });

  test('helm has nothing to remark on but the icon, which there is none of', async () => {
    const ended = await helm('lint', '--strict', chart);
    assert.equal(ended.kind, 'done', ended.kind === 'refused' ? ended.stderr : '');
    const remarks = ended.kind === 'done' ? ended.stdout.match(/^\[.*$/gm) : [];
    assert.deepEqual(remarks, ['[INFO] Chart.yaml: icon is recommended']);
  });
});
