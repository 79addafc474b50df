/**
 * `glance-image-operator plan`: the steps of the operator, before it takes them.
 *
 * Invariant: nothing is written, neither to the cluster nor to a cloud.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { glanceImageType } from '../image/access/resources.ts';
import { lookAhead } from '../image/ahead/ahead.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { appliedTo, readManifests, unappliedUID } from './manifests.ts';
import { namedResource } from './objects.ts';
import { outputSettings, painter, print, shown } from './output.ts';
import { type PlannedResource, plannedResource, totalsOf } from './planned.ts';
import { planText } from './planned-text.ts';
import { showWork } from './progress.ts';
import {
  type Cluster,
  cloudSettings,
  clusterNameOf,
  clusterSettings,
  localCloud,
  ownerSettings,
  reachClouds,
  reachCluster,
} from './reach.ts';

const settings = {
  filename: {
    schema: setting.text(),
    value: 'PATH',
    short: 'f',
    help: 'File or folder with manifests, or - for standard input. They need not be applied. Documents of other kinds are skipped.',
  },
  offline: {
    schema: setting.switch(),
    help: 'Use no cluster: treat the manifests as not applied yet, and use the cloud of --os-cloud. Without this flag, they are compared with the resources of the cluster.',
  },
  ...clusterSettings,
  ...cloudSettings,
  ...ownerSettings,
  ...outputSettings,
} as const satisfies Settings;

type Line = CommandLine<typeof settings>;

/** `isApplied`: the cluster has it. */
interface Planned {
  resource: GlanceImage;
  isApplied: boolean;
}

export const planCommand: Command = command({
  name: 'plan',
  summary: 'Show what the operator will do for resources or manifests',
  operands: '[NAME]',
  most: 1,
  settings,
  notes:
    'Shows every step until the image is as declared, and what it changes, also the steps that follow a transfer. A value that is not known\n' +
    'yet, such as the size of a file whose server does not announce it, is shown as unknown. Data that was not read yet counts as right.',
  found: 'there is something to do',
  run: plan,
});

async function plan({ settings: given, operands }: Line, surroundings: Surroundings): Promise<boolean> {
  const { signal, readInput } = surroundings;
  const { filename, offline } = given;
  const [name] = operands;
  if ((name === undefined) === (filename === undefined))
    throw new UsageError('give the NAME of a resource, or manifests with --filename');
  if (offline && filename === undefined) throw new UsageError('--offline needs manifests: name them with --filename');
  if (offline) localCloud(given, '--offline');
  await using cluster = offline ? undefined : reachCluster(given, surroundings);
  const found =
    name === undefined
      ? await manifested(
          await readManifests(filename ?? '', cluster?.namespace ?? 'default', readInput, signal),
          cluster,
          signal,
        )
      : cluster === undefined
        ? []
        : [{ resource: await namedResource(name, cluster, signal), isApplied: true }];
  const planned = await planAll(found, given, cluster, surroundings);
  const data = { resources: planned, totals: totalsOf(planned) };
  print(given.output, data, () => planText(planned, painter(surroundings)), surroundings);
  const failed = planned.find(({ end }) => end.state === 'blocked');
  if (failed !== undefined && given.output !== 'table') {
    surroundings.err.write(`${failed.namespace}/${failed.name}: ${shown(failed.end.message ?? '')}\n`);
  }
  return planned.some(({ steps, end }) => steps.length > 0 || end.state === 'blocked' || end.state === 'unknown');
}

async function manifested(
  manifests: Awaited<ReturnType<typeof readManifests>>,
  cluster: Cluster | undefined,
  signal: AbortSignal,
): Promise<Planned[]> {
  if (manifests.length === 0) throw new UsageError('--filename: there is no GlanceImage in these manifests');
  const all: Planned[] = [];
  for (const manifest of manifests) {
    const { namespace, name } = manifest.resource.metadata;
    const found = await cluster?.client.get(glanceImageType, { namespace, name }, signal);
    const resource = appliedTo(found, manifest);
    all.push({ resource, isApplied: resource.metadata.uid !== unappliedUID });
  }
  return all;
}

async function planAll(
  all: readonly Planned[],
  given: Line['settings'],
  cluster: Cluster | undefined,
  surroundings: Surroundings,
): Promise<PlannedResource[]> {
  const { signal, err, clock } = surroundings;
  const name = cluster === undefined ? 'offline' : await clusterNameOf(given, cluster.client, signal);
  await using clouds = await reachClouds(given, cluster?.client, surroundings);
  const context = clouds.ahead(name, given.inheritFrom);
  using work = showWork(err, clock);
  const planned: PlannedResource[] = [];
  for (const { resource, isApplied } of all) {
    const { namespace, name: one } = resource.metadata;
    work.update(`Looking at ${namespace}/${one} (${planned.length + 1} of ${all.length})`);
    const ahead = await lookAhead(resource, context, signal);
    planned.push(plannedResource({ namespace, name: one }, isApplied, ahead));
  }
  return planned;
}
