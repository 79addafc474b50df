/**
 * Publishes an image that is observed.
 *
 * Invariants: nothing here can write to Glance. While the image cannot be used, its ConfigMap stays as it is. A ConfigMap is written only
 * for a declaration that the API server has confirmed.
 */
import type { GlanceImage } from '../../api/glanceimage.ts';
import type { Image } from '../../glance/image.ts';
import { attempt, OperatorError } from '../../lib/errors.ts';
import type { StatusOutcome } from '../access/resources.ts';
import { type Published, publishedData } from '../model/published-data.ts';
import type { Change, Report } from '../model/report.ts';
import { simulate } from '../model/simulate.ts';
import type { State } from '../model/step.ts';
import { type OwnConfigMaps, readConfigMaps } from '../perform/config-maps.ts';
import { notRecorded } from '../perform/perform.ts';
import { configMapsOf, type PublishStep, publish } from '../plan/publication.ts';
import { recorded } from '../status/status.ts';
import { momentOf } from './moment.ts';
import { failed, outcome, type Pass, type Reached, type ReconcileContext, withReport } from './pass.ts';

/** `report`: of the image. */
export async function publishObserved(report: Report, pass: Pass, context: ReconcileContext): Promise<Reached> {
  const image = report.observed?.revisions[0]?.image;
  const { resource } = pass;
  const names = configMapsOf(resource, report.memory);
  if (names.length === 0 || report.end.kind !== 'converged' || image === undefined) return withReport(report);
  const { clock, signal } = context;
  const configMaps = context.configMaps.of(resource);
  const wanted = publishedOf(image, resource);
  const observed = { revisions: [], listed: false, configMaps: await readConfigMaps(names, configMaps, signal) };
  let state: State = { observed, memory: report.memory };
  const changes: Change[] = [];
  for (;;) {
    const next = publish(wanted, state.memory, state.observed.configMaps);
    const learned = { ...report, memory: state.memory, changes };
    if (next === undefined) return withReport(learned);
    if (next.kind === 'blocked') return failed(pass, new OperatorError(next.message, next), context, learned);
    const { step } = next;
    const done = await attempt(signal, () => take(step, report, pass, configMaps, context));
    if (!done.ok) return failed(pass, done.error, context, learned);
    if (done.value === 'gone') return outcome({ kind: 'awaitChange' });
    if (done.value === 'outdated') return outcome({ kind: 'requeue' });
    if (done.value === 'rejected') return failed(pass, notRecorded(), context, learned);
    state = simulate(state, step, clock.now());
    if (step.kind === 'publish') changes.push({ kind: 'published', configMap: step.configMap });
  }
}

/** What the ConfigMap of a resource that observes this image shows. */
export function publishedOf(image: Image, { spec: { publish } }: GlanceImage): Published | undefined {
  return publish && { configMap: publish.configMapRef.name, image, name: image.name ?? '', digest: undefined };
}

async function take(
  step: PublishStep,
  report: Report,
  pass: Pass,
  configMaps: OwnConfigMaps,
  context: ReconcileContext,
): Promise<StatusOutcome> {
  const { resources, signal } = context;
  if (step.kind === 'record') return record({ ...report, memory: step.memory }, pass, context);
  // A late cache may show a name from which an earlier leader has removed its ConfigMap.
  const confirmation = await resources.confirm(pass.resource, signal, 'nothing');
  if (confirmation !== 'current') return confirmation;
  switch (step.kind) {
    case 'publish':
      await configMaps.write(step.configMap, publishedData(step), signal);
      return 'written';
    case 'unpublish':
      await configMaps.remove(step.configMap, signal);
      return 'written';
  }
}

function record(report: Report, pass: Pass, context: ReconcileContext): Promise<StatusOutcome> {
  const { resource } = pass;
  const status = recorded(report, resource.status, momentOf(pass, report, context));
  return context.resources.writeStatus(resource, status, context.signal);
}
