/**
 * `glance-image-operator status`: where resources are, the worst first, and of one resource everything that a person may want to know.
 *
 * Invariant: it shows the status that the operator has written, and reads nothing else.
 */
import { findCondition } from '../api/conditions.ts';
import type { GlanceImage } from '../api/glanceimage.ts';
import { isReason, reasons } from '../api/reasons.ts';
import type { Item } from '../kubernetes/resource.ts';
import { formatBytes } from '../lib/bytes.ts';
import { formatDuration } from '../lib/duration.ts';
import { type Command, type CommandLine, command, type Surroundings } from './command.ts';
import { type Settings, setting, UsageError } from './config.ts';
import { allResources, namedResource } from './objects.ts';
import { outputSettings, type Paint, painter, print, type Style, shown, table } from './output.ts';
import { progressLine } from './progress.ts';
import { type Cluster, clusterSettings, reachCluster } from './reach.ts';

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
  run: status,
});

const pollMs = 1_000;
const clearScreen = '\u001b[H\u001b[J';

async function status(
  { settings: given, operands: [name] }: CommandLine<typeof settings>,
  surroundings: Surroundings,
): Promise<boolean> {
  const { signal, clock, out } = surroundings;
  if (name !== undefined && given.allNamespaces) throw new UsageError('--all-namespaces and a NAME exclude each other');
  await using cluster = reachCluster(given, surroundings);
  const paint = painter(surroundings);
  const look = async () => {
    const now = clock.now();
    if (name !== undefined) {
      const resource = await namedResource(name, cluster, signal);
      return {
        data: { ...summaryOf(resource), status: resource.status },
        text: () => statusText(resource, now, paint),
      };
    }
    const summaries = await summariesIn(cluster, given.allNamespaces);
    return { data: { resources: summaries }, text: () => statusList(summaries, now, paint) };
  };

  async function summariesIn({ client, namespace }: Cluster, all: boolean): Promise<Summary[]> {
    const items = await allResources(client, all ? undefined : namespace, signal);
    return items.map(summaryOfItem).sort((a, b) => rankOf(a) - rankOf(b) || (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  try {
    let before = '';
    for (;;) {
      const { data, text } = await look();
      const isTerminal = out.isTTY === true;
      const seen = JSON.stringify(data);
      if (seen !== before || (given.watch && isTerminal)) {
        if (given.watch && isTerminal) out.write(clearScreen);
        print(given.output, data, text, surroundings);
      }
      before = seen;
      if (!given.watch) return false;
      await clock.sleep(pollMs, signal);
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (given.watch && signal.aborted) return false;
    throw error;
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

function keyOf({ namespace, name }: Summary): string {
  return `${namespace}/${name}`;
}

function summaryOfItem(item: Item<GlanceImage>): Summary {
  if (item.kind === 'readable') return summaryOf(item.object);
  const { namespace = '', name } = item.object.metadata;
  return { namespace, name, state: 'failed', reason: 'Unreadable', message: shown(item.problem) };
}

export function summaryOf({ metadata, spec, status: seen }: GlanceImage): Summary {
  const ready = findCondition(seen.conditions, 'Ready');
  const { imageID, progress, nextAttemptTime, lastError, image } = seen;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    state: stateOf({ spec, status: seen }),
    reason: lastError?.reason ?? ready?.reason ?? 'Waiting',
    message: shown(lastError?.message ?? ready?.message ?? 'the operator has not reconciled it yet'),
    ...(imageID === undefined ? {} : { imageID }),
    ...(image?.size === undefined ? {} : { size: image.size }),
    ...(progress === undefined ? {} : { progress }),
    ...(nextAttemptTime === undefined ? {} : { nextAttemptTime }),
  };
}

function stateOf({ spec, status: { conditions, lastError } }: Pick<GlanceImage, 'spec' | 'status'>): State {
  const is = (type: Parameters<typeof findCondition>[1]) => findCondition(conditions, type)?.status;
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
    one.imageID ?? '',
    one.size === undefined ? '' : formatBytes(one.size),
    one.progress ?? '',
    one.nextAttemptTime === undefined ? '' : untilText(one.nextAttemptTime, now),
  ]);
  return table([['NAMESPACE', 'NAME', 'STATE', 'IMAGE', 'SIZE', 'PROGRESS', 'NEXT ATTEMPT'], ...rows]);
}

function untilText(time: string, now: Date): string {
  const ms = Date.parse(time) - now.getTime();
  return ms <= 0 ? 'now' : `in ${formatDuration(ms)}`;
}

const width = 100;

/** Everything about one. */
export function statusText(resource: GlanceImage, now: Date, paint: Paint): string {
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
  const warning = findCondition(seen.conditions, 'Warning');
  if (warning !== undefined) lines.push(`  ${paint('yellow', 'Warning:')} ${shown(warning.message)}`);
  const updating = findCondition(seen.conditions, 'Updating');
  if (updating !== undefined)
    lines.push(`  ${paint('cyan', 'Update:')} ${updating.reason}: ${shown(updating.message)}`);
  if (seen.transfer !== undefined) lines.push('', transferText(seen.transfer));
  return `${[...lines, ...revisionLines(resource, paint)].join('\n')}\n`;
}

function attempts({
  attempts: count,
  httpStatus,
  requestID,
  at,
}: NonNullable<GlanceImage['status']['lastError']>): string {
  const response = httpStatus === undefined ? '' : `, HTTP ${httpStatus}`;
  const request = requestID === undefined ? '' : `, request ${shown(requestID)}`;
  return `${count} failed ${count === 1 ? 'attempt' : 'attempts'}, the last at ${at}${response}${request}`;
}

function transferText({
  phase,
  bytes,
  totalBytes,
  bytesPerSecond,
}: NonNullable<GlanceImage['status']['transfer']>): string {
  if (phase !== 'Transferring') return `  Transfer: ${phase}`;
  const progress = { bytes, servedBytes: bytes, total: totalBytes, phase: 'transferring' as const };
  return `  ${progressLine(progress, bytesPerSecond, width)}`;
}

function revisionLines({ status: { revisions = [] } }: GlanceImage, paint: Paint): string[] {
  if (revisions.length === 0) return [];
  const rows = revisions
    .toReversed()
    .map(({ number, imageID, digest, hash, state, createdAt = '' }) => [
      String(number),
      state === 'Current' ? paint('green', state) : state,
      imageID,
      createdAt,
      (digest ?? hash ?? '').replace(/^(\w+:.{12}).*/, '$1…'),
    ]);
  const text = table([['REVISION', 'STATE', 'IMAGE', 'CREATED', 'DIGEST'], ...rows]);
  return ['', ...text.trimEnd().split('\n')];
}
