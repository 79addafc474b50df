/**
 * `glance-image-operator rollback`: pins an earlier revision.
 *
 * Invariant: one patch of `spec.revisions.pin`, which the API server accepts only for the version that was read; nothing else is changed.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import { glanceImageType } from '../image/access/resources.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { gitManager, namedResource, resourceNames } from './objects.ts';
import { outputSettings, print, shown } from './output.ts';
import { clusterSettings, reachCluster } from './reach.ts';

const settings = {
  to: {
    schema: setting.text(),
    value: 'DIGEST',
    help: 'Digest of the revision, as digest or hash in status.revisions. Default: the one before the current one.',
  },
  ...clusterSettings,
  ...outputSettings,
} as const satisfies Settings;

export const rollbackCommand: Command = command({
  name: 'rollback',
  summary: 'Make an earlier revision of an image the current one',
  operands: 'NAME',
  most: 1,
  settings,
  notes:
    'It sets spec.revisions.pin. The operator then makes that revision the current one, without a download. As long as the pin is there, an\n' +
    'edit of spec.content changes nothing.',
  candidates: ({ settings: given }, surroundings) => resourceNames(given, surroundings),
  run: rollback,
});

async function rollback(
  { settings: given, operands: [name] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, err } = surroundings;
  if (name === undefined) throw new UsageError('give the NAME of a resource');
  await using cluster = reachCluster(given, surroundings, { writes: true });
  const resource = await namedResource(name, cluster, signal);
  const pin = pinFor(resource, given.to);
  const manager = await gitManager(name, cluster, signal);
  if (manager !== undefined) {
    err.write(
      `Warning: ${shown(manager)} manages this resource and may remove the pin: set spec.revisions.pin in its source too.\n`,
    );
  }
  const { namespace, uid, resourceVersion } = resource.metadata;
  const isSet = resource.spec.revisions?.pin === pin;
  const before = resource.spec.revisions;
  const change =
    before === undefined
      ? ({ op: 'add', path: '/spec/revisions', value: { pin } } as const)
      : ({ op: 'add', path: '/spec/revisions/pin', value: pin } as const);
  if (!isSet) {
    await cluster.client.jsonPatch(
      glanceImageType,
      { namespace, name },
      [
        { op: 'test', path: '/metadata/uid', value: uid },
        { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
        change,
      ],
      signal,
    );
  }
  const data = { namespace, name, pin, isChanged: !isSet, ...(manager === undefined ? {} : { manager }) };
  print(given.output, data, () => text(namespace, name, pin, isSet), surroundings);
  return false;
}

function text(namespace: string, name: string, pin: string, isSet: boolean): string {
  const done = isSet ? 'is pinned already to' : 'is pinned to';
  return (
    `GlanceImage ${namespace}/${name} ${done} ${pin}\n` +
    `To follow spec.content again: kubectl patch glanceimage ${name} --namespace ${namespace} --type json ` +
    `--patch '[{"op":"remove","path":"/spec/revisions/pin"}]'\n`
  );
}

function pinFor({ status, metadata }: GlanceImage, to: string | undefined): string {
  const { revisions = [] } = status;
  if (to !== undefined) {
    const known = revisions.flatMap(({ digest, hash }) => [digest, hash].filter((one) => one !== undefined));
    if (known.includes(to)) return to;
    const named = known.length === 0 ? 'names none' : `names ${known.join(', ')}`;
    throw new UsageError(`${metadata.name} has no revision with the digest ${to}: status.revisions ${named}`);
  }
  const earlier = revisions.filter(({ state }) => state === 'Retired' || state === 'InUse');
  const last = earlier.toSorted(
    (a, b) => (b.retiredAt ?? '').localeCompare(a.retiredAt ?? '') || b.number - a.number,
  )[0];
  const digest = last?.digest ?? last?.hash;
  if (digest !== undefined) return digest;
  throw new UsageError(`${metadata.name} has no earlier revision: the operator keeps as many as spec.revisions says`);
}
