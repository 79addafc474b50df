/**
 * `glance-image-operator status`: where resources are, the worst first, and of one resource everything that a person may want to know.
 *
 * Invariant: it shows the status that the operator has written, and reads nothing else.
 */
import type { ConditionType } from '../api/conditions.ts';
import { isReason, reasons } from '../api/reasons.ts';
import { isOutage } from '../kubernetes/errors.ts';
import type { Item } from '../kubernetes/resource.ts';
import { formatBytes } from '../lib/bytes.ts';
import { formatDuration } from '../lib/duration.ts';
import { attempt } from '../lib/errors.ts';
import { keyOf } from '../lib/key.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { allResources, namedAs, resourceNames } from './objects.ts';
import { outputSettings, type Paint, painter, print, type Style, shown, table } from './output.ts';
import { progressLine } from './progress.ts';
import { type Cluster, clusterSettings, reachCluster } from './reach.ts';
import { type SeenResource, seenType, type WrittenResource } from './seen-resource.ts';

const settings = {
  watch: {
    schema: setting.switch(),
    short: 'w',
    help: 'Show it again whenever it changes, until Ctrl-C.',
  },
  allNamespaces: {
    schema: setting.switch(),
    short: 'A',
    help: 'Resources of all namespaces.',
  },
  ...clusterSettings,
  ...outputSettings,
} as const satisfies Settings;

export const statusCommand: Command = command({
  name: 'status',
  summary: 'Show where resources are: revisions, transfers, errors and what happens next',
  operands: '[NAME]',
  most: 1,
  settings,
  notes: 'Without a name it lists all resources of the namespace, the worst first.',
  candidates: async ({ settings: given }, surroundings) =>
    given.allNamespaces ? [] : resourceNames(given, surroundings),
  run: status,
});

/** A newer or older operator wrote it. */
const unknownNote = '\nThe status has values that this version does not know. --output yaml shows all of it.\n';

const pollMs = 1_000;
const clearScreen = '\u001b[H\u001b[J';

async function status(
  { settings: given, operands: [name] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, clock } = surroundings;
  if (name !== undefined && given.allNamespaces) throw new UsageError('--all-namespaces and a NAME exclude each other');
  await using cluster = reachCluster(given, surroundings);
  const paint = painter(surroundings);
  const look = async () => {
    const now = clock.now();
    if (name !== undefined) {
      const resource = await namedAs(seenType, name, cluster, signal);
      return {
        data: { ...summaryOf(resource), status: resource.written },
        text: () => statusText(resource, now, paint, surroundings.out.columns) + (resource.isKnown ? '' : unknownNote),
      };
    }
    const summaries = await summariesIn(cluster, given.allNamespaces);
    return { data: { resources: summaries }, text: () => statusList(summaries, now, paint) };
  };

  async function summariesIn({ client, namespace }: Cluster, all: boolean): Promise<Summary[]> {
    const items = await allResources(seenType, client, all ? undefined : namespace, signal);
    return items
      .map(summaryOfItem)
      .sort((a, b) => rankOf(a) - rankOf(b) || (keyOf(a.namespace, a.name) < keyOf(b.namespace, b.name) ? -1 : 1));
  }

  try {
    await showLooks(look, given, surroundings);
    return false;
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (given.watch && signal.aborted) return false;
    throw error;
  }
}

interface Look {
  data: unknown;
  text(): string;
}

/** Once, or with `watch` whenever it changes, until the signal. An outage of the API server does not end a watch that has begun. */
async function showLooks(
  look: () => Promise<Look>,
  { watch, output }: Pick<CommandLine<typeof settings>['settings'], 'watch' | 'output'>,
  surroundings: Surroundings,
): Promise<void> {
  const { signal, clock, out, err } = surroundings;
  const redraws = watch && out.isTTY === true;
  let before: string | undefined;
  let isInterrupted = false;
  for (;;) {
    const looked = await attempt(signal, look);
    if (looked.ok) {
      const { data, text } = looked.value;
      const seen = JSON.stringify(data);
      if (redraws) out.write(clearScreen);
      if (output === 'yaml' && before !== undefined && seen !== before && !redraws) out.write('---\n');
      if (redraws || seen !== before) print(output, data, text, surroundings);
      before = seen;
    } else {
      const { error } = looked;
      if (before === undefined || !isOutage(error)) throw error;
      if (!isInterrupted) err.write(`The status cannot be read, and the watch goes on: ${shown(error.message)}\n`);
    }
    if (!watch) return;
    isInterrupted = !looked.ok;
    await clock.sleep(pollMs, signal);
  }
}

type State = 'failed' | 'retrying' | 'held' | 'working' | 'ready' | 'suspended';

export interface Summary {
  namespace: string;
  name: string;
  state: State;
  reason: string;
  message: string;
  imageID?: string;
  size?: number;
  progress?: string;
  nextAttemptTime?: string;
}

const ranks: Readonly<Record<State, number>> = { failed: 0, retrying: 1, held: 2, working: 3, ready: 4, suspended: 5 };
const styles: Readonly<Record<State, Style>> = {
  failed: 'red',
  retrying: 'yellow',
  held: 'yellow',
  working: 'cyan',
  ready: 'green',
  suspended: 'dim',
};

function rankOf({ state }: Summary): number {
  return ranks[state];
}

function summaryOfItem(item: Item<WrittenResource>): Summary {
  if (item.kind === 'readable') return summaryOf(item.object);
  const { namespace = '', name } = item.object.metadata;
  return { namespace, name, state: 'failed', reason: 'Unreadable', message: shown(item.problem) };
}

export function summaryOf({ metadata, spec, status: seen }: SeenResource): Summary {
  const ready = conditionOf(seen, 'Ready');
  const { imageID, progress, nextAttemptTime, lastError, image } = seen;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    state: stateOf({ spec, status: seen }),
    reason: shown(lastError?.reason ?? ready?.reason ?? 'Waiting'),
    message: shown(lastError?.message ?? ready?.message ?? 'the operator has not reconciled it yet'),
    ...(imageID === undefined ? {} : { imageID }),
    ...(image?.size === undefined ? {} : { size: image.size }),
    ...(progress === undefined ? {} : { progress }),
    ...(nextAttemptTime === undefined ? {} : { nextAttemptTime }),
  };
}

function conditionOf({ conditions }: SeenResource['status'], type: ConditionType) {
  return conditions?.find((one) => one.type === type);
}

function stateOf({ spec, status }: Pick<SeenResource, 'spec' | 'status'>): State {
  const { lastError } = status;
  const is = (type: ConditionType) => conditionOf(status, type)?.status;
  if (spec.suspend) return 'suspended';
  if (is('Stalled') === 'True') return 'failed';
  if (lastError !== undefined) return 'retrying';
  if (is('Ready') !== 'True') return 'working';
  return is('Updating') === 'False' ? 'held' : 'ready';
}

/** All, the worst first. */
export function statusList(summaries: readonly Summary[], now: Date, paint: Paint): string {
  if (summaries.length === 0) return 'There are no GlanceImages.\n';
  const rows = summaries.map((one) => [
    one.namespace,
    one.name,
    paint(styles[one.state], one.reason),
    shown(one.imageID ?? ''),
    one.size === undefined ? '' : formatBytes(one.size),
    shown(one.progress ?? ''),
    one.nextAttemptTime === undefined ? '' : untilText(one.nextAttemptTime, now),
  ]);
  return table([['NAMESPACE', 'NAME', 'STATE', 'IMAGE', 'SIZE', 'PROGRESS', 'NEXT ATTEMPT'], ...rows]);
}

function untilText(time: string, now: Date): string {
  const ms = Date.parse(time) - now.getTime();
  if (Number.isNaN(ms)) return shown(time);
  return ms <= 0 ? 'now' : `in ${formatDuration(ms)}`;
}

/** Where it is on no terminal. */
const usualWidth = 100;

/** Everything about one. */
export function statusText(resource: SeenResource, now: Date, paint: Paint, width = usualWidth): string {
  const { namespace, name, state, reason, message } = summaryOf(resource);
  const { status: seen } = resource;
  const lines = [
    `${paint('bold', `GlanceImage ${namespace}/${name}`)}: ${paint(styles[state], reason)}`,
    `  ${message}`,
  ];
  const remedy = seen.lastError !== undefined && isReason(reason) ? reasons[reason].remedy : undefined;
  if (remedy !== undefined) lines.push(`  ${paint('yellow', 'What to do:')} ${remedy}`);
  if (seen.lastError !== undefined) lines.push(`  ${attempts(seen.lastError)}`);
  if (seen.nextAttemptTime !== undefined) lines.push(`  Next attempt ${untilText(seen.nextAttemptTime, now)}`);
  const warning = conditionOf(seen, 'Warning');
  if (warning !== undefined) lines.push(`  ${paint('yellow', 'Warning:')} ${shown(warning.message ?? '')}`);
  const updating = conditionOf(seen, 'Updating');
  if (updating !== undefined)
    lines.push(
      `  ${paint('cyan', 'Update:')} ${shown(updating.reason ?? updating.status)}: ${shown(updating.message ?? '')}`,
    );
  if (seen.transfer !== undefined) lines.push('', transferText(seen.transfer, width));
  return `${[...lines, ...revisionLines(resource, paint)].join('\n')}\n`;
}

type Status = SeenResource['status'];

function attempts({ attempts: count, httpStatus, requestID, at }: NonNullable<Status['lastError']>): string {
  const failed = count === undefined ? 'Failed' : `${count} failed ${count === 1 ? 'attempt' : 'attempts'}`;
  const last = at === undefined ? '' : `, the last at ${shown(at)}`;
  const response = httpStatus === undefined ? '' : `, HTTP ${httpStatus}`;
  const request = requestID === undefined ? '' : `, request ${shown(requestID)}`;
  return `${failed}${last}${response}${request}`;
}

function transferText(
  { phase, bytes, totalBytes, bytesPerSecond }: NonNullable<Status['transfer']>,
  width: number,
): string {
  if (phase !== 'Transferring' || bytes === undefined) return `  Transfer: ${shown(phase)}`;
  const progress = { bytes, servedBytes: bytes, total: totalBytes, phase: 'transferring' as const };
  return `  ${progressLine(progress, bytesPerSecond, Math.min(width, usualWidth) - 2)}`;
}

function revisionLines({ status: { revisions = [] } }: SeenResource, paint: Paint): string[] {
  if (revisions.length === 0) return [];
  const rows = revisions
    .toReversed()
    .map(({ number, imageID = '', digest, hash, state = '', createdAt = '' }) => [
      String(number ?? ''),
      state === 'Current' ? paint('green', state) : shown(state),
      shown(imageID),
      shown(createdAt),
      shown(digest ?? hash ?? '').replace(/^(\w+:.{12}).*/, '$1…'),
    ]);
  const text = table([['REVISION', 'STATE', 'IMAGE', 'CREATED', 'DIGEST'], ...rows]);
  return ['', ...text.trimEnd().split('\n')];
}
