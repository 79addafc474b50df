/**
 * `glance-image-operator export`: manifests that take over the images of a project as they are.
 *
 * Guarantees: the cloud is only read. No file that exists is overwritten; all files are written, or none.
 */
import * as z from 'zod';
import { visibilities } from '../api/fields.ts';
import type { Image } from '../glance/image.ts';
import type { ListFilters } from '../glance/list.ts';
import { attempt, describe } from '../lib/errors.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { type Exported, exported, whyNotExported } from './exported.ts';
import { manifestText } from './manifest-text.ts';
import { checkSecretName, namespaceName } from './manifests.ts';
import { type NewFile, writeFiles } from './new-files.ts';
import { shown } from './output.ts';
import { showWork } from './progress.ts';
import { cloudSettings, localCloud, reachClouds } from './reach.ts';

const settings = {
  directory: {
    schema: setting.text(),
    value: 'DIR',
    short: 'o',
    help: 'Folder for the manifests, one file for each image. Default: all of them to standard output.',
  },
  name: { schema: setting.text(), value: 'NAME', help: 'Only images with this name.' },
  tag: { schema: setting.list(), value: 'TAG,…', help: 'Only images with all of these tags.' },
  property: {
    schema: setting.list(),
    value: 'KEY=VALUE,…',
    help: 'Only images with all of these properties.',
  },
  visibility: {
    schema: z.enum(visibilities).optional(),
    value: 'public|private|shared|community',
    help: 'Only images with this visibility.',
  },
  image: { schema: setting.list(), value: 'ID,…', help: 'Only images with these IDs.' },
  namespace: {
    schema: namespaceName.optional(),
    value: 'NAME',
    short: 'n',
    help: 'Namespace in the manifests. Default: none.',
  },
  secret: {
    schema: z.string().default('openstack'),
    value: 'NAME',
    help: 'Name of the Secret with the clouds.yaml, for the manifests. Default: openstack.',
  },
  deletionPolicy: {
    schema: z.enum(['Retain', 'Delete']).default('Retain'),
    value: 'Retain|Delete',
    help: 'The deletionPolicy in the manifests: whether the images stay when their resources are deleted. Default: Retain.',
  },
  ...cloudSettings,
} as const satisfies Settings;

type Given = CommandLine<typeof settings>['settings'];

export const exportCommand: Command = command({
  name: 'export',
  summary: 'Write manifests that take over the images of a project as they are',
  operands: '',
  most: 0,
  settings,
  notes:
    'Each manifest has import.id and every field of the image that differs from its default. Images of other projects, images of GlanceImages\n' +
    'and images without data are left out.',
  isByHand: true,
  run: exportImages,
});

async function exportImages(
  { settings: given }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, out, err, clock } = surroundings;
  const ref = localCloud(given, 'export');
  checkSecretName(given.secret);
  const filters = filtersOf(given);
  await using access = await reachClouds(given, undefined, surroundings);
  using work = showWork(err, clock);
  work.update('Listing images');
  const { images, projectID } = await access.open(ref, signal);
  const found: Image[] = [];
  for (const hidden of [false, true]) {
    const all = { ...filters, owner: projectID, hidden, visibility: given.visibility ?? ('all' as const) };
    for await (const image of images.list(all, signal)) if (image.owner === projectID) found.push(image);
  }
  const target = {
    namespace: given.namespace,
    cloud: { secretRef: { name: given.secret }, name: ref.name },
    deletionPolicy: given.deletionPolicy,
  };
  const manifests: Exported[] = [];
  for (const image of found.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const why = whyNotExported(image);
    if (why !== undefined) {
      err.write(`Left out: image ${shown(image.id)} (${shown(image.name ?? '')}): ${shown(why)}\n`);
      continue;
    }
    work.update(`Reading image ${manifests.length + 1} of ${found.length}`);
    const members =
      image.visibility === 'shared' ? await attempt(signal, () => images.members.list(image.id, signal)) : undefined;
    if (members?.ok === false)
      err.write(`The members of image ${shown(image.id)} are left alone: ${shown(describe(members.error))}\n`);
    const ids = members?.ok === true ? members.value.map(({ memberId }) => memberId) : undefined;
    manifests.push(exported(image, ids, target, new Set(manifests.map(({ name }) => name))));
  }
  work.stop();
  if (given.directory === undefined) out.write(manifests.map(textOf).join('---\n'));
  else await writeFiles(given.directory, manifests.map(fileOf), signal);
  err.write(
    `${manifests.length} ${manifests.length === 1 ? 'manifest' : 'manifests'}${given.directory === undefined ? '' : ` in ${given.directory}`}.\n`,
  );
  return false;
}

function filtersOf({ name, tag, property, image }: Given): ListFilters {
  const properties = property.map((one): [string, string] => {
    const [key = '', ...value] = one.split('=');
    if (key === '' || value.length === 0) throw new UsageError(`--property: ${JSON.stringify(one)} is not KEY=VALUE`);
    return [key, value.join('=')];
  });
  return {
    ...(name === undefined ? {} : { name }),
    ...(tag.length === 0 ? {} : { tags: tag }),
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
    ...(image.length === 0 ? {} : { ids: image }),
  };
}

function fileOf(one: Exported): NewFile {
  return { name: `${one.name}.yaml`, text: textOf(one) };
}

function textOf({ manifest, leftOut }: Exported): string {
  const comments = leftOut.map((one) => `# Not declared: ${shown(one)}\n`).join('');
  return comments + manifestText(manifest);
}
