/** A plan as text for people, in the manner of Terraform. Invariant: pure; an unknown value is printed as unknown. */
import { formatBytes } from '../lib/bytes.ts';

import { type Paint, padded, type Style, shown, widthOf } from './output.ts';
import { type FieldChange, type PlannedResource, type PlannedStep, type StepKind, totalsOf } from './planned.ts';

const signs: Readonly<Record<StepKind, { sign: string; style: Style }>> = {
  resolve: { sign: '?', style: 'cyan' },
  create: { sign: '+', style: 'green' },
  change: { sign: '~', style: 'yellow' },
  retire: { sign: '~', style: 'yellow' },
  transfer: { sign: '>', style: 'green' },
  verify: { sign: '?', style: 'cyan' },
  fetch: { sign: '>', style: 'green' },
  copy: { sign: '+', style: 'green' },
  inspect: { sign: '?', style: 'cyan' },
  delete: { sign: '-', style: 'red' },
  removeFromStore: { sign: '-', style: 'red' },
  addMember: { sign: '+', style: 'green' },
  removeMember: { sign: '-', style: 'red' },
  deactivate: { sign: '~', style: 'yellow' },
  reactivate: { sign: '~', style: 'yellow' },
  publish: { sign: '+', style: 'green' },
  unpublish: { sign: '-', style: 'red' },
};

export function planText(resources: readonly PlannedResource[], paint: Paint): string {
  const parts = resources.map((one) => resourceText(one, paint));
  return `${parts.join('\n')}\n${totalsText(resources, paint)}\n`;
}

function resourceText({ namespace, name, isApplied, steps, end }: PlannedResource, paint: Paint): string {
  const head =
    paint('bold', shown(`GlanceImage ${namespace}/${name}`)) + (isApplied === false ? ' (not applied yet)' : '');
  const first = steps.findIndex(({ ifRight }) => ifRight);
  const lines = steps.flatMap((step, index) => [
    ...(index === first ? [conditional(paint)] : []),
    ...stepLines(step, paint),
  ]);
  return [head, ...lines, ...endLines(end, steps.length > 0, paint)].map((line) => `${line}\n`).join('');
}

function conditional(paint: Paint): string {
  return paint('dim', '  if that data is right (otherwise another image is made):');
}

function endLines(
  { state, reason, message = '', remedy }: PlannedResource['end'],
  hasSteps: boolean,
  paint: Paint,
): string[] {
  switch (state) {
    case 'settled':
      return hasSteps ? [] : [paint('dim', '  as declared: nothing to do')];
    case 'idle':
      return [paint('dim', `  nothing to do: ${shown(message)}`)];
    case 'blocked':
      return [paint('red', `  stops: ${reason}: ${shown(message)}`)];
    case 'failed':
      return [
        paint('red', `  cannot be planned: ${shown(message)}`),
        ...(remedy === undefined ? [] : [`    ${remedy}`]),
      ];
    case 'unknown':
      return [paint('yellow', `  the next steps are unknown: ${shown(message)}`)];
  }
}

function stepLines(step: PlannedStep, paint: Paint): string[] {
  const { sign, style } = signs[step.step];
  const fields = Object.entries(step.fields ?? {});
  const width = Math.max(0, ...fields.map(([name]) => widthOf(shown(name))));
  return [
    `  ${paint(style, sign)} ${shown(headOf(step))}`,
    ...(step.problem === undefined ? [] : [`      ${paint('yellow', 'It fails now:')} ${shown(step.problem)}`]),
    ...fields.map(([name, change]) => `      ${padded(shown(name), width)}  ${changeText(change, step.step, paint)}`),
  ];
}

function headOf(step: PlannedStep): string {
  const { size, url = '', digest, project, configMap, stores = [], why, unknown = [] } = step;
  const image = imageText(step);
  const bytes = size === undefined ? 'data of unknown size' : formatBytes(size);
  const reason = why === undefined ? '' : `: ${why}`;
  switch (step.step) {
    case 'resolve':
      return `resolve ${url}: ${unknown.includes('digest') ? 'the digest is unknown' : digest}`;
    case 'create':
      return `create ${image}`;
    case 'change':
      return `change ${image}`;
    case 'retire':
      return `retire ${image}`;
    case 'transfer':
      return `transfer ${bytes} from ${url}${digest === undefined ? '' : `, ${digest}`}${reason}`;
    case 'verify':
      return `read back ${bytes} of ${image} and compare them${digest === undefined ? '' : ` with ${digest}`}`;
    case 'fetch':
      return `let Glance download ${url}, unknown size`;
    case 'copy':
      return `copy ${image} to store ${stores.join(', ')}`;
    case 'inspect':
      return `inspect the format of ${image}`;
    case 'delete':
      return `delete ${image}${reason}`;
    case 'removeFromStore':
      return `remove ${image} from store ${stores.join(', ')}`;
    case 'addMember':
      return `share ${image} with project ${project}`;
    case 'removeMember':
      return `stop sharing ${image} with project ${project}`;
    case 'deactivate':
      return `deactivate ${image}`;
    case 'reactivate':
      return `reactivate ${image}`;
    case 'publish':
      return `write ConfigMap ${configMap}`;
    case 'unpublish':
      return `delete ConfigMap ${configMap}`;
  }
}

function imageText({ revision, imageID, unknown = [] }: PlannedStep): string {
  const id = unknown.includes('imageID') ? 'an image whose ID is known after apply' : `image ${imageID ?? ''}`;
  return revision === undefined ? id : `revision ${revision}, ${id}`;
}

function changeText({ before, after }: FieldChange, step: StepKind, paint: Paint): string {
  if (before === undefined && after === undefined) return paint('dim', '(known after apply)');
  if (after === undefined) return paint('red', `${valueText(before)} → removed`);
  if (step === 'create') return valueText(after);
  return before === undefined ? paint('green', valueText(after)) : `${valueText(before)} → ${valueText(after)}`;
}

function valueText(value: FieldChange['after']): string {
  return value === undefined ? '' : shown(JSON.stringify(value));
}

function totalsText(resources: readonly PlannedResource[], paint: Paint): string {
  const totals = totalsOf(resources);
  const { bytes, other, failed } = totals;
  const size = bytes === 0 ? '' : ` (${formatBytes(bytes)})`;
  const rest = `${other === 0 ? '' : `, ${other} other`}${failed === 0 ? '' : `; ${failed} could not be planned`}`;
  return (
    `${paint('bold', 'Plan:')} ${totals.create} to create, ${totals.change} to change, ${totals.transfer} to transfer${size}, ` +
    `${totals.retire} to retire, ${totals.delete} to delete${rest}.`
  );
}
