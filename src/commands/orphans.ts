/**
 * `glance-image-operator orphans`: images with the mark of this cluster that no resource of it names.
 *
 * Invariants: an image that was retained has no mark of a cluster, and is never among them. Images are listed before the resources, so a
 * resource that is created meanwhile is seen. Images are deleted only after a confirmation, protected ones only if that is asked for.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import type { Image } from '../glance/image.ts';
import type { Cloud } from '../image/access/clouds.ts';
import { glanceImageType, imageIDsOf } from '../image/access/resources.ts';
import { type CloudRef, cloudRefOf } from '../image/model/cloud-ref.ts';
import { clusterProperty, identityOf, ownerProperty } from '../image/model/identity.ts';
import { recall } from '../image/model/memory.ts';
import type { Item } from '../kubernetes/resource.ts';
import { formatBytes } from '../lib/bytes.ts';
import { attempt, describe, OperatorError } from '../lib/errors.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { allResources } from './objects.ts';
import { deleteOrphans, markedOwner, type Orphan } from './orphan-deletion.ts';
import { outputSettings, painter, print, shown, table } from './output.ts';
import { showWork } from './progress.ts';
import {
  type CloudAccessOfCommand,
  type Cluster,
  cloudSettings,
  clusterNameOf,
  clusterSettings,
  localCloud,
  ownerSettings,
  reachClouds,
  reachCluster,
} from './reach.ts';

const { namespace: _, ...wholeCluster } = clusterSettings;

const settings = {
  delete: {
    schema: setting.switch(),
    isFlagOnly: true,
    help: 'Delete them, after a confirmation. An image that a server or a volume uses stays, and so does a protected one.',
  },
  unprotect: {
    schema: setting.switch(),
    isFlagOnly: true,
    help: 'Delete protected images too: their protection is lifted first.',
  },
  yes: {
    schema: setting.switch(),
    isFlagOnly: true,
    help: 'Confirm the deletion in advance, for scripts.',
  },
  ...wholeCluster,
  ...cloudSettings,
  ...ownerSettings,
  ...outputSettings,
} as const satisfies Settings;

type Given = CommandLine<typeof settings>['settings'];

export const orphansCommand: Command = command({
  name: 'orphans',
  summary: "List, or delete, images with this cluster's mark that no resource names",
  operands: '',
  most: 0,
  settings,
  notes:
    'The clouds are those of the Secrets that GlanceImages of the cluster name, or that of --os-cloud. Images that were retained are never\n' +
    'among them.',
  found: 'there are orphans, and they were not deleted',
  run: orphans,
});

async function orphans(
  { settings: given }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, err, clock, out } = surroundings;
  const alone = given.delete ? undefined : given.yes ? '--yes' : given.unprotect ? '--unprotect' : undefined;
  if (alone !== undefined) throw new UsageError(`${alone} needs --delete`);
  await using cluster = reachCluster({ ...given, namespace: undefined }, surroundings);
  const name = await clusterNameOf(given, cluster.client, signal);
  await using access = await reachClouds(given, cluster.client, surroundings);
  using work = showWork(err, clock);
  work.update('Listing images');
  const { found, problems } = await findOrphans(name, given, cluster, access, signal);
  work.stop();
  for (const problem of problems) err.write(`Not listed: ${shown(problem)}\n`);
  const data = { orphans: found.map(asData), bytes: bytesOf(found) };
  print(given.output, data, () => text(found), surroundings);
  if (problems.length > 0 && !given.delete) throw incomplete(problems.length);
  if (!given.delete || found.length === 0) return found.length > 0;
  const going = given.unprotect ? found : found.filter(({ image }) => !image.protected);
  const staying = found.length - going.length;
  if (staying > 0)
    err.write(`${countOf(staying, 'protected image')} will stay. --unprotect deletes such images too.\n`);
  if (going.length === 0) return true;
  if (!given.yes && !(await isConfirmed(going, surroundings))) {
    err.write('Nothing was deleted.\n');
    return true;
  }
  const deleted = await deleteOrphans(going, {
    isNamed: async (image) =>
      isNamed(image, readable(await allResources(glanceImageType, cluster.client, undefined, signal)), name),
    clusterName: name,
    unprotect: given.unprotect,
    signal,
    clock,
    err,
  });
  const result = `Deleted ${deleted} of ${countOf(found.length, 'image')}.\n`;
  if (given.output === 'table') out.write(painter(surroundings)('bold', result));
  else err.write(result);
  signal.throwIfAborted();
  if (problems.length > 0) throw incomplete(problems.length);
  return deleted < found.length;
}

/** What the user types at the question on the terminal, where the images are shown in any case. Throws UsageError without a terminal. */
export async function isConfirmed(
  going: readonly Orphan[],
  { out, readLine, signal }: Pick<Surroundings, 'out' | 'readLine' | 'signal'>,
): Promise<boolean> {
  const question = questionAbout(going);
  // The list is in a file or a pipe, which may hold back what it has, or is data for a program.
  const typed = await readLine(out.isTTY === true ? question : `${text(going)}${question}`, signal);
  if (typed === undefined) throw new UsageError('--delete needs a confirmation: run it on a terminal, or add --yes');
  return typed.trim() === 'yes';
}

function questionAbout(going: readonly Orphan[]): string {
  const count = going.filter(({ image }) => image.protected).length;
  const isAre = count === 1 ? 'is' : 'are';
  const lifted = count === 0 ? '' : ` ${count} of them ${isAre} protected, and the protection is lifted first.`;
  return `Delete ${countOf(going.length, 'image')}, ${formatBytes(bytesOf(going))}?${lifted} Only "yes" deletes: `;
}

function bytesOf(orphans: readonly Orphan[]): number {
  return orphans.reduce((sum, { image }) => sum + (image.size ?? 0), 0);
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function incomplete(count: number): OperatorError {
  const message = `the list is not complete, because ${countOf(count, 'cloud')} could not be listed: fix the Secrets, or name a cloud with --os-cloud`;
  return new OperatorError(message, { code: 'ComponentFailed' });
}

function asData({ image, cloud }: Orphan) {
  const { id, name, size, status, createdAt } = image;
  return {
    id,
    name,
    owner: image.properties[ownerProperty] ?? null,
    size,
    status,
    createdAt,
    protected: image.protected,
    projectID: cloud.projectID,
  };
}

function text(found: readonly Orphan[]): string {
  if (found.length === 0) return 'There are no orphans.\n';
  const rows = found.map(({ image: { id, name, size, createdAt, properties, ...image } }) => [
    shown(id),
    shown(name ?? ''),
    shown(markedOwner(properties).split('/').slice(0, 2).join('/')),
    shown(createdAt),
    image.protected ? 'yes' : 'no',
    size === null ? '' : formatBytes(size),
  ]);
  const lines = table([['IMAGE', 'NAME', 'MADE FOR', 'CREATED', 'PROTECTED', 'SIZE'], ...rows]);
  return `${lines}\n${countOf(found.length, 'orphan')}, ${formatBytes(bytesOf(found))}.\n`;
}

async function findOrphans(
  clusterName: string,
  given: Given,
  { client }: Cluster,
  access: CloudAccessOfCommand,
  signal: AbortSignal,
): Promise<{ found: Orphan[]; problems: readonly string[] }> {
  const before = readable(await allResources(glanceImageType, client, undefined, signal));
  const marked: Orphan[] = [];
  const clouds = given.osCloud === undefined ? cloudsOf(before) : [localCloud(given, '')];
  const problems: string[] = [];
  for (const ref of clouds) {
    const listed = await attempt(signal, async () => {
      const cloud = await access.open(ref, signal);
      return (await markedIn(cloud, clusterName, signal)).map((image) => ({ image, cloud }));
    });
    if (!listed.ok)
      problems.push(`cloud ${ref.name} of Secret ${ref.namespace}/${ref.secretRef.name}: ${describe(listed.error)}`);
    else marked.push(...listed.value.filter(({ image }) => !marked.some((one) => one.image.id === image.id)));
  }
  const resources = readable(await allResources(glanceImageType, client, undefined, signal));
  return { found: marked.filter(({ image }) => !isNamed(image, resources, clusterName)), problems };
}

/** One that cannot be read may name any image. */
function readable(items: readonly Item<GlanceImage>[]): GlanceImage[] {
  return items.map((item) => {
    if (item.kind === 'readable') return item.object;
    const { namespace = '', name } = item.object.metadata;
    throw new UsageError(
      `GlanceImage ${namespace}/${name} cannot be read, so its images are unknown: ${shown(item.problem)}`,
    );
  });
}

function cloudsOf(resources: readonly GlanceImage[]): CloudRef[] {
  return [...new Map(resources.map(cloudRefOf).map((ref) => [JSON.stringify(ref), ref])).values()];
}

/** Those of the project of the credentials. */
async function markedIn(
  { images, projectID }: Pick<Cloud, 'images' | 'projectID'>,
  clusterName: string,
  signal: AbortSignal,
): Promise<Image[]> {
  const found: Image[] = [];
  for (const hidden of [false, true]) {
    const filters = {
      properties: { [clusterProperty]: clusterName },
      owner: projectID,
      hidden,
      visibility: 'all' as const,
    };
    for await (const image of images.list(filters, signal)) {
      // A database may compare text without regard to case.
      const isMarked = image.properties[clusterProperty] === clusterName && markedOwner(image.properties) !== '';
      if (isMarked && image.owner === projectID) found.push(image);
    }
  }
  return found;
}

/** Also by an ID anywhere in a spec, such as that of an import that the operator has not seen yet, of a source or of a kernel. */
export function isNamed(image: Image, resources: readonly GlanceImage[], clusterName: string): boolean {
  return resources.some((resource) => {
    const spec = JSON.stringify(resource.spec, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
    if (spec.toLowerCase().includes(image.id.toLowerCase())) return true;
    const recollection = recall(resource);
    if (recollection.kind === 'newer') return true;
    const { memory } = recollection;
    const { owner } = identityOf(resource, clusterName, memory.identity);
    const isMarked = owner === markedOwner(image.properties);
    return isMarked || memory.images.includes(image.id) || imageIDsOf(resource).includes(image.id);
  });
}
