/**
 * `glance-image-operator diff`: the image in the cloud against its declaration, as a unified diff.
 *
 * Invariant: nothing is written. The declared side is the present image with the effects of the steps that the operator would take.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import type { Image } from '../glance/image.ts';
import { lookAhead } from '../image/ahead/ahead.ts';
import type { Outlook } from '../image/ahead/forecast.ts';
import { markProperties } from '../image/model/identity.ts';
import type { State } from '../image/model/step.ts';
import { unifiedDiff } from '../lib/unified-diff.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, UsageError } from './config.ts';
import { manifestText } from './manifest-text.ts';
import { namedResource, resourceNames } from './objects.ts';
import { outputSettings, type Paint, painter, print, shown } from './output.ts';
import { showWork } from './progress.ts';
import { cloudSettings, clusterNameOf, clusterSettings, ownerSettings, reachClouds, reachCluster } from './reach.ts';

const settings = {
  ...clusterSettings,
  ...cloudSettings,
  ...ownerSettings,
  ...outputSettings,
} as const satisfies Settings;

export const diffCommand: Command = command({
  name: 'diff',
  summary: 'Compare the image in the cloud with its declaration, now',
  operands: 'NAME',
  most: 1,
  settings,
  found: 'there is a difference',
  candidates: ({ settings: given }, surroundings) => resourceNames(given, surroundings),
  run: diff,
});

async function diff(
  { settings: given, operands: [name] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, err, clock } = surroundings;
  if (name === undefined) throw new UsageError('give the NAME of a resource');
  await using cluster = reachCluster(given, surroundings);
  using work = showWork(err, clock);
  work.update(`Looking at ${name}`);
  const resource = await namedResource(name, cluster, signal);
  const clusterName = await clusterNameOf(given, cluster.client, signal);
  await using clouds = await reachClouds(given, cluster.client, surroundings);
  // The operator does nothing for a suspended resource, and a person wants to know what it would do.
  const active = { ...resource, spec: { ...resource.spec, suspend: false } };
  const { first, last, end } = await lookAhead(active, clouds.ahead(clusterName, given.inheritFrom), signal);
  if (first === undefined) throw new Error(`${name} cannot be compared: ${whyNotCompared(resource, end)}`);
  const seen = shownImage(first);
  const declared = shownImage(last);
  const text = unifiedDiff(yamlOf(seen), yamlOf(declared), [`cloud/${name}`, `declared/${name}`]);
  work.stop();
  const problem = end.kind === 'blocked' ? { reason: end.code, message: end.message } : undefined;
  const data = {
    cloud: seen ?? null,
    declared: declared ?? null,
    isEqual: text === '',
    ...(problem && { problem }),
  };
  print(given.output, data, () => coloured(text, painter(surroundings)), surroundings);
  if (problem !== undefined) err.write(`${problem.reason}: ${shown(problem.message)}\n`);
  return text !== '' || problem !== undefined;
}

function whyNotCompared({ spec }: GlanceImage, end: Outlook): string {
  if (spec.managementPolicy === 'Observe') return 'it only observes an image, and declares nothing about it';
  switch (end.kind) {
    case 'settled':
      return 'its image was not read';
    case 'idle':
    case 'unknown':
      return end.why;
    case 'blocked':
      return end.message;
  }
}

type ShownImage = Record<string, unknown>;

/** The image to use, or the last one. */
function shownImage(state: State | undefined): ShownImage | undefined {
  if (state === undefined) return undefined;
  const { observed, memory } = state;
  const revision = observed.revisions.find(({ image }) => image.id === memory.promoted) ?? observed.revisions.at(-1);
  return (
    revision && {
      ...fieldsOf(revision.image),
      ...(revision.members && { members: revision.members.map(({ project }) => project).sort() }),
    }
  );
}

function fieldsOf(image: Image): ShownImage {
  const {
    id,
    status,
    name,
    visibility,
    hidden,
    minDiskGiB,
    minRAMMiB,
    diskFormat,
    containerFormat,
    owner,
    tags,
    stores,
  } = image;
  const marks = Object.entries(image.properties).filter(([key]) => markProperties.includes(key));
  const properties = Object.entries(image.properties).filter(([key]) => !markProperties.includes(key));
  const sorted = (entries: readonly [string, unknown][]) =>
    Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return {
    id,
    state: status,
    name,
    owner,
    visibility,
    hidden,
    protected: image.protected,
    diskFormat,
    containerFormat,
    minDiskGiB,
    minRAMMiB,
    tags,
    ...(stores === undefined ? {} : { stores: stores.toSorted() }),
    properties: sorted(properties),
    marks: sorted(marks),
  };
}

function yamlOf(image: ShownImage | undefined): string {
  return image === undefined ? '' : manifestText(image);
}

function coloured(text: string, paint: Paint): string {
  return text
    .split('\n')
    .map((line) => {
      if (line.startsWith('@@')) return paint('cyan', line);
      if (line.startsWith('+')) return paint('green', line);
      return line.startsWith('-') ? paint('red', line) : line;
    })
    .join('\n');
}
