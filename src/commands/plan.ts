/**
 * `glance-image-operator plan`: the steps of the operator, before it takes them.
 *
 * Invariant: nothing is written, neither to the cluster nor to a cloud.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { glanceImageType } from '../image/access/resources.ts';
import { lookAhead } from '../image/ahead/ahead.ts';
import { attempt } from '../lib/errors.ts';
import { type Command, type CommandLine, command, remedyOf, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { appliedTo, type Manifest, type Manifests, readManifests, unappliedUID } from './manifests.ts';
import { namedResource, resourceNames } from './objects.ts';
import { outputSettings, painter, print, shown } from './output.ts';
import { failedResource, type PlannedResource, plannedResource, totalsOf } from './planned.ts';
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

type Key = Pick<GlanceImage['metadata'], 'namespace' | 'name'>;

/** What is to be planned, and how its declaration is read. */
interface Wanted {
  key: Key;
  read(signal: AbortSignal): Promise<GlanceImage>;
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
  candidates: async ({ settings: given }, surroundings) =>
    given.filename === undefined ? resourceNames(given, surroundings) : [],
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
  const namespace = cluster?.namespace ?? 'default';
  const { manifests, problems } =
    filename === undefined ? nothing : await readManifests(filename, namespace, readInput, signal);
  const wanted =
    name === undefined || cluster === undefined
      ? manifests.map((manifest) => manifested(manifest, cluster))
      : [{ key: { namespace, name }, read: () => namedResource(name, cluster, signal) }];
  if (wanted.length === 0)
    throw new UsageError(problems.join('\n') || '--filename: there is no GlanceImage in these manifests');
  const planned = await planAll(wanted, given, cluster, surroundings);
  const only = planned.length === 1 && problems.length === 0 ? planned[0] : undefined;
  if (only?.kind === 'failed') throw only.error;
  return report(planned, problems, given, surroundings);
}

const nothing: Manifests = { manifests: [], problems: [] };

type Planned =
  | { kind: 'planned'; resource: PlannedResource }
  | { kind: 'failed'; about: Parameters<typeof failedResource>[0]; error: unknown };

/** As it is after the manifest is applied. */
function manifested(manifest: Manifest, cluster: Cluster | undefined): Wanted {
  const { namespace, name } = manifest.resource.metadata;
  const key = { namespace, name };
  const read = async (signal: AbortSignal) =>
    appliedTo(await cluster?.client.get(glanceImageType, key, signal), manifest);
  return { key, read };
}

/** Prints everything. Throws where a part is missing. */
function report(
  planned: readonly Planned[],
  problems: readonly string[],
  given: Line['settings'],
  surroundings: Surroundings,
): boolean {
  const { err } = surroundings;
  const resources = planned.map((one) =>
    one.kind === 'planned'
      ? one.resource
      : failedResource(
          one.about,
          one.error,
          remedyOf(one.error, { isByHand: false, isLocalCloud: given.osCloud !== undefined }),
        ),
  );
  const data = { resources, totals: totalsOf(resources), problems };
  print(given.output, data, () => planText(resources, painter(surroundings)), surroundings);
  if (given.output !== 'table')
    for (const { namespace, name, end } of resources)
      if (end.state === 'blocked' || end.state === 'failed')
        err.write(`${namespace}/${name}: ${shown(end.message ?? '')}\n`);
  for (const problem of problems) err.write(`Not planned: ${shown(problem)}\n`);
  const missing = problems.length + planned.filter(({ kind }) => kind === 'failed').length;
  if (missing > 0)
    throw new Error(`the plan is not complete: ${missing} of ${planned.length + problems.length} failed`);
  return resources.some(({ steps, end }) => steps.length > 0 || end.state === 'blocked' || end.state === 'unknown');
}

async function planAll(
  all: readonly Wanted[],
  given: Line['settings'],
  cluster: Cluster | undefined,
  surroundings: Surroundings,
): Promise<Planned[]> {
  const { signal, err, clock } = surroundings;
  const name = cluster === undefined ? 'offline' : await clusterNameOf(given, cluster.client, signal);
  await using clouds = await reachClouds(given, cluster?.client, surroundings);
  // Its failure is one of the command line, and none of a resource.
  if (given.osCloud !== undefined) await clouds.open(localCloud(given, ''), signal);
  const context = clouds.ahead(name, given.inheritFrom);
  using work = showWork(err, clock);
  const planned: Planned[] = [];
  for (const { key, read } of all) {
    work.update(`Looking at ${key.namespace}/${key.name} (${planned.length + 1} of ${all.length})`);
    const resource = await attempt(signal, () => read(signal));
    if (!resource.ok) {
      planned.push({ kind: 'failed', about: key, error: resource.error });
      continue;
    }
    const about = { ...key, isApplied: resource.value.metadata.uid !== unappliedUID };
    const ahead = await attempt(signal, () => lookAhead(resource.value, context, signal));
    planned.push(
      ahead.ok
        ? { kind: 'planned', resource: plannedResource(key, about.isApplied, ahead.value, cluster !== undefined) }
        : { kind: 'failed', about, error: ahead.error },
    );
  }
  return planned;
}
