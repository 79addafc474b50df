/**
 * A forecast as data for programs: one entry for each thing that the operator changes or reads, with the fields before and after.
 *
 * Invariant: pure. A value that is known only later is named in `unknown`, and is absent.
 */
import { type Image, tagSet } from '../glance/image.ts';
import { keyIn } from '../glance/patch.ts';
import type { WantedImage } from '../glance/translation.ts';
import type { Action, Forecast, Outlook } from '../image/ahead/forecast.ts';
import { addressOf } from '../image/model/content.ts';
import { clusterProperty, ownerProperty } from '../image/model/identity.ts';
import { isRetired } from '../image/model/memory.ts';
import { publishedData } from '../image/model/published-data.ts';
import type { PlanStep, State } from '../image/model/step.ts';
import { describe, OperatorError } from '../lib/errors.ts';
import { safeUrl } from '../lib/secret.ts';
import type { JsonValue } from '../openstack/json.ts';

export type StepKind =
  | 'resolve'
  | 'create'
  | 'change'
  | 'retire'
  | 'transfer'
  | 'verify'
  | 'fetch'
  | 'copy'
  | 'inspect'
  | 'delete'
  | 'removeFromStore'
  | 'addMember'
  | 'removeMember'
  | 'deactivate'
  | 'reactivate'
  | 'publish'
  | 'unpublish';

export interface FieldChange {
  before?: JsonValue;
  after?: JsonValue;
}

export interface PlannedStep {
  step: StepKind;
  revision?: number;
  imageID?: string;
  /** By the names of the declaration. */
  fields?: Record<string, FieldChange>;
  url?: string;
  digest?: string;
  /** Bytes. */
  size?: number;
  project?: string;
  stores?: string[];
  configMap?: string;
  why?: string;
  /** The reason why it fails now. */
  problem?: string;
  /** It follows only if the data that is read back before is right. Otherwise another image is made. */
  ifRight?: true;
  /** Names of what is known only later. */
  unknown?: string[];
}

export interface PlannedResource {
  namespace: string;
  name: string;
  /** The cluster has this resource. Absent where that could not be read. */
  isApplied?: boolean;
  steps: PlannedStep[];
  /** `failed`: its steps are not known, because something could not be read. */
  end: { state: Outlook['kind'] | 'failed'; reason?: string; message?: string; remedy?: string };
}

export function plannedResource(
  { namespace, name }: { namespace: string; name: string },
  isApplied: boolean,
  { actions, end }: Forecast,
  isClusterKnown = true,
): PlannedResource {
  const created = actions.flatMap((one) =>
    one.kind === 'step' && one.step.kind === 'create' ? [one.step.imageID] : [],
  );
  const reading = actions.findIndex(
    (one) => one.kind === 'inspect' || (one.kind === 'transfer' && one.purpose === 'verify'),
  );
  const steps = actions.flatMap((action, index): PlannedStep[] => {
    const planned = plannedStep(action);
    if (planned === undefined) return [];
    const step = reading >= 0 && index > reading ? { ...planned, ifRight: true as const } : planned;
    const imageID = action.kind === 'step' && action.step.kind === 'publish' ? action.step.image.id : step.imageID;
    const isNew = imageID !== undefined && created.includes(imageID);
    return [isNew ? withoutUnknown(step, isApplied, isClusterKnown) : step];
  });
  return { namespace, name, isApplied, steps, end: endOf(end) };
}

export function failedResource(
  about: Pick<PlannedResource, 'namespace' | 'name' | 'isApplied'>,
  error: unknown,
  remedy: string | undefined,
): PlannedResource {
  const reason = error instanceof OperatorError ? { reason: error.code } : {};
  const end = {
    state: 'failed' as const,
    ...reason,
    message: describe(error),
    ...(remedy !== undefined && { remedy }),
  };
  return { ...about, steps: [], end };
}

function endOf(end: Outlook): PlannedResource['end'] {
  switch (end.kind) {
    case 'settled':
      return { state: end.kind };
    case 'idle':
    case 'unknown':
      return { state: end.kind, message: end.why };
    case 'blocked':
      return { state: end.kind, reason: end.code, message: end.message };
  }
}

/** Undefined for what changes nothing but the memory of the operator, and for a wait. */
export function plannedStep(action: Action): PlannedStep | undefined {
  switch (action.kind) {
    case 'resolve': {
      const { url, file, digest } = action;
      const unknown = digest === undefined ? { unknown: ['digest'] } : { digest };
      return {
        step: 'resolve',
        url: safeUrl(url),
        ...(file === undefined ? {} : { why: `file ${safeUrl(file)}` }),
        ...unknown,
      };
    }
    case 'transfer': {
      const { purpose, image, content, source, isRunning } = action;
      const { digest } = content;
      return {
        step: purpose === 'fill' ? 'transfer' : 'verify',
        imageID: image.id,
        url: safeUrl(addressOf(content)),
        ...(digest === undefined ? {} : { digest }),
        ...(source.bytes === undefined ? { unknown: ['size'] } : { size: source.bytes }),
        ...(isRunning ? { why: 'it is running' } : {}),
        ...(source.problem === undefined ? {} : { problem: source.problem }),
      };
    }
    case 'inspect':
      return { step: 'inspect', imageID: action.image.id };
    case 'import':
      return undefined;
    case 'step':
      return stepOf(action.step, action.before);
  }
}

function stepOf(step: PlanStep, before: State): PlannedStep | undefined {
  switch (step.kind) {
    case 'record':
      return undefined;
    case 'create':
      return { step: 'create', revision: step.number, imageID: step.imageID, fields: fieldsOf(step.image) };
    case 'publish': {
      const seen = before.observed.configMaps?.get(step.configMap);
      const old = seen?.kind === 'own' ? seen.data : {};
      const data = Object.entries(publishedData(step));
      const fields = Object.fromEntries(
        data
          .filter(([key, value]) => old[key] !== value)
          .map(([key, after]) => [key, old[key] === undefined ? { after } : { before: old[key], after }]),
      );
      return { step: 'publish', configMap: step.configMap, fields };
    }
    case 'unpublish':
      return { step: 'unpublish', configMap: step.configMap };
    default:
      return { ...ofImage(step, before), ...changeOf(step, before) };
  }
}

type ImageStep = Exclude<PlanStep, { kind: 'record' | 'create' | 'publish' | 'unpublish' }>;

function ofImage({ image }: ImageStep, { observed }: State): Pick<PlannedStep, 'revision' | 'imageID'> {
  const number = observed.revisions.find((one) => one.image.id === image.id)?.number;
  return { ...(number === undefined ? {} : { revision: number }), imageID: image.id };
}

function changeOf(step: ImageStep, before: State): PlannedStep {
  switch (step.kind) {
    case 'patch':
      return { step: isRetired(before.memory, step.image.id) ? 'retire' : 'change', fields: changesOf(step, before) };
    case 'import': {
      const { method, stores, allStores } = step.request;
      const to = stores === undefined ? (allStores === true ? { stores: ['all'] } : {}) : { stores: [...stores] };
      return method.name === 'web-download'
        ? { step: 'fetch', url: safeUrl(method.uri), ...to, unknown: ['size'] }
        : { step: 'copy', ...to };
    }
    case 'delete':
      return { step: 'delete', why: step.why };
    case 'removeFromStore':
      return { step: 'removeFromStore', stores: [step.store] };
    case 'addMember':
    case 'removeMember':
      return { step: step.kind, project: step.project };
    case 'deactivate':
    case 'reactivate':
      return { step: step.kind };
  }
}

/** The names of the declaration, by those of Glance. */
const attributes = {
  name: 'name',
  visibility: 'visibility',
  protected: 'protected',
  os_hidden: 'hidden',
  disk_format: 'diskFormat',
  container_format: 'containerFormat',
  min_disk: 'minDiskGiB',
  min_ram: 'minRAMMiB',
  owner: 'owner',
  tags: 'tags',
} as const satisfies Record<string, keyof Image & keyof WantedImage>;

const attributeOf: ReadonlyMap<string, (typeof attributes)[keyof typeof attributes]> = new Map(
  Object.entries(attributes),
);

function changesOf(
  { image: { id, ...rest }, operations }: Extract<PlanStep, { kind: 'patch' }>,
  { observed }: State,
): Record<string, FieldChange> {
  const image = observed.revisions.find((one) => one.image.id === id)?.image ?? rest;
  return Object.fromEntries(
    operations.map((operation) => {
      const key = keyIn(operation);
      const attribute = attributeOf.get(key);
      const before = attribute === undefined ? propertyOf(image, key) : image[attribute];
      return [
        attribute ?? `properties.${key}`,
        {
          ...(before === undefined ? {} : { before }),
          ...(operation.op === 'remove' ? {} : { after: operation.value }),
        },
      ];
    }),
  );
}

/** `constructor` is a name that a property may have. */
function propertyOf({ properties }: Pick<Image, 'properties'>, key: string): JsonValue | undefined {
  return Object.hasOwn(properties, key) ? properties[key] : undefined;
}

function fieldsOf({ properties = {}, ...image }: WantedImage): Record<string, FieldChange> {
  const fields = Object.values(attributes).flatMap((name): [string, FieldChange][] => {
    const after = image[name];
    return after === undefined
      ? []
      : [[name, { after: typeof after === 'object' && after !== null ? tagSet([...after]) : after }]];
  });
  const declared = Object.entries(properties).flatMap(([key, after]): [string, FieldChange][] =>
    after === undefined || after === null ? [] : [[`properties.${key}`, { after }]],
  );
  return Object.fromEntries([...fields, ...declared]);
}

/** Of a new image. Its ID and its mark follow from the uid of the resource, and Glance sets its date. */
function withoutUnknown(
  { imageID, fields = {}, unknown = [], ...rest }: PlannedStep,
  isApplied: boolean,
  isClusterKnown: boolean,
): PlannedStep {
  const cluster = isClusterKnown ? [] : [`properties.${clusterProperty}`];
  const identity = [...(isApplied ? [] : ['imageID', `properties.${ownerProperty}`]), ...cluster];
  const names = rest.step === 'publish' ? ['imageDate', ...identity] : identity;
  const changed = Object.entries(fields);
  const known = changed.map(([name, change]): [string, FieldChange] => [name, names.includes(name) ? {} : change]);
  const lost = [
    ...known.filter(([name]) => names.includes(name)).map(([name]) => name),
    ...(isApplied || imageID === undefined ? [] : ['imageID']),
  ];
  const all = [...unknown, ...lost];
  return {
    ...rest,
    ...(isApplied && imageID !== undefined ? { imageID } : {}),
    ...(changed.length === 0 ? {} : { fields: Object.fromEntries(known) }),
    ...(all.length === 0 ? {} : { unknown: all }),
  };
}

export interface Totals {
  create: number;
  change: number;
  transfer: number;
  /** Bytes of the transfers whose size is known. */
  bytes: number;
  retire: number;
  delete: number;
  /** All others: members, stores, ConfigMaps and what is only read. */
  other: number;
  /** Resources whose steps are not known. */
  failed: number;
}

export function totalsOf(resources: readonly PlannedResource[]): Totals {
  const steps = resources.flatMap((one) => one.steps);
  const count = (...kinds: StepKind[]) => steps.filter(({ step }) => kinds.includes(step)).length;
  const named = {
    create: count('create'),
    change: count('change', 'deactivate', 'reactivate'),
    transfer: count('transfer', 'fetch'),
    bytes: steps.reduce((sum, { step, size = 0 }) => (step === 'transfer' ? sum + size : sum), 0),
    retire: count('retire'),
    delete: count('delete'),
  };
  const known = named.create + named.change + named.transfer + named.retire + named.delete;
  const failed = resources.filter(({ end }) => end.state === 'failed').length;
  return { ...named, other: steps.length - known, failed };
}
