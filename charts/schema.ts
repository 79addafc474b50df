/**
 * values.schema.json: types come from the defaults in values.yaml, and this file adds the rest. Invariant: an unknown name is
 * rejected, except in `global`, and inside values that are passed to Kubernetes, which validates them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { changesSchema, readAlerts } from './alerts.ts';
import { limitShapes, settingsSchema } from './settings.ts';
import { type Entry, type Group, listValues, type Value } from './values.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

const text: JsonSchema = { type: 'string' };
const object: JsonSchema = { type: 'object' };
const objects: JsonSchema = { type: 'array', items: object };
const texts: JsonSchema = { type: 'object', additionalProperties: text };
const port: JsonSchema = { type: 'integer', minimum: 1, maximum: 65535 };
/** The format of namespaces and most names in Kubernetes. */
const label: JsonSchema = { type: 'string', maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' };
const optionalLabel: JsonSchema = { ...label, pattern: '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$' };
/** The format of names of most other objects. */
const optionalName: JsonSchema = { ...text, maxLength: 253, pattern: '^([a-z0-9]([-.a-z0-9]*[a-z0-9])?)?$' };
const objectName: JsonSchema = { ...text, maxLength: 253, pattern: '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$' };
/** The format of keys in ConfigMaps and Secrets. */
const dataKey: JsonSchema = { ...text, pattern: '^[-._a-zA-Z0-9]+$' };
const named: JsonSchema = {
  type: 'array',
  items: { type: 'object', properties: { name: { ...text, minLength: 1 } }, required: ['name'] },
};
const optionalInteger = (minimum: number): JsonSchema => ({ type: ['integer', 'null'], minimum });
const seconds: JsonSchema = { type: 'integer', minimum: 1 };
const probe: JsonSchema = {
  type: 'object',
  properties: {
    initialDelaySeconds: { type: 'integer', minimum: 0 },
    periodSeconds: seconds,
    timeoutSeconds: seconds,
    failureThreshold: seconds,
  },
  additionalProperties: false,
};
/** The format of durations in Prometheus. */
const duration: JsonSchema = { type: 'string', pattern: '^([0-9]+(ms|s|m|h))+$' };
const optionalDuration: JsonSchema = { ...duration, pattern: '^([0-9]+(ms|s|m|h))*$' };

/** A host, all hosts below one, an address, or any host. */
const hosts: JsonSchema = {
  type: 'array',
  uniqueItems: true,
  items: { ...text, pattern: '^(\\*|(\\*\\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]*:[0-9a-f:.]*)$' },
};
const namespaces: JsonSchema = { type: 'array', uniqueItems: true, items: label };

const alerts = readAlerts(readFileSync(join(import.meta.dirname, 'glance-image-operator/files/alerts.yaml'), 'utf8'));

/** By path; `*.` at the start of a path matches any group. */
const shapes: Readonly<Record<string, JsonSchema>> = {
  nameOverride: optionalLabel,
  fullnameOverride: optionalLabel,
  namespaceOverride: optionalLabel,
  commonLabels: texts,
  commonAnnotations: texts,
  deploymentAnnotations: texts,
  '*.labels': texts,
  '*.annotations': texts,
  podAnnotations: texts,
  podLabels: texts,
  nodeSelector: texts,
  'image.registry': { ...text, pattern: '^([A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._/-]*[A-Za-z0-9])?)?$' },
  'image.repository': { ...text, pattern: '^[a-z0-9]([a-z0-9._/-]*[a-z0-9])?$' },
  'image.tag': { ...text, pattern: '^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$' },
  'image.digest': { ...text, pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})?$' },
  'image.pullPolicy': { enum: ['IfNotPresent', 'Always', 'Never'] },
  'global.imagePullSecrets': { type: 'array', items: { anyOf: [{ ...text, minLength: 1 }, named['items']] } },
  imagePullSecrets: named,
  watchNamespaces: namespaces,
  '*.namespaces': namespaces,
  '*.exemptNamespaces': namespaces,
  serviceAccountTokens: {
    type: 'object',
    propertyNames: label,
    additionalProperties: { type: 'array', minItems: 1, uniqueItems: true, items: objectName },
  },
  'policies.actions': {
    type: 'array',
    minItems: 1,
    uniqueItems: true,
    items: { enum: ['Deny', 'Warn', 'Audit'] },
    not: { allOf: [{ contains: { const: 'Deny' } }, { contains: { const: 'Warn' } }] },
  },
  'policies.contact': { ...text, minLength: 1, maxLength: 200, pattern: '^[^\\n\\r]+$' },
  'policies.hosts.allowed': hosts,
  'policies.hosts.byNamespace': { type: 'object', propertyNames: label, additionalProperties: hosts },
  settings: settingsSchema(),
  ...limitShapes(),
  'transferJobs.above': { ...text, pattern: '^([1-9][0-9]{0,14}(Ki|Mi|Gi|Ti)?)?$' },
  'transferJobs.resources': {
    type: 'object',
    properties: { requests: object, limits: object },
    required: ['requests', 'limits'],
    additionalProperties: false,
  },
  'transferJobs.nodeSelector': texts,
  'transferJobs.tolerations': objects,
  'transferJobs.affinity': object,
  'transferJobs.topologySpreadConstraints': objects,
  'transferJobs.priorityClassName': optionalName,
  'transferJobs.runtimeClassName': optionalName,
  'transferJobs.queue': optionalName,
  'transferJobs.podLabels': texts,
  'transferJobs.podAnnotations': texts,
  'transferJobs.ttlSecondsAfterFinished': { type: 'integer', minimum: 60, maximum: 2_592_000 },
  'transferJobs.pendingSeconds': { type: 'integer', minimum: 10, maximum: 86_400 },
  'caBundle.configMap': optionalName,
  'caBundle.key': dataKey,
  '*.url': { ...text, pattern: '^([Hh][Tt][Tt][Pp][Ss]?://.+)?$' },
  '*.noProxy': { type: 'array', items: { ...text, pattern: '^[^,]+$' } },
  'proxy.sources.credentialsSecret.name': optionalName,
  'proxy.sources.credentialsSecret.key': dataKey,
  'proxy.clouds.credentialsSecret.name': optionalName,
  'proxy.clouds.credentialsSecret.key': dataKey,
  replicaCount: { type: 'integer', minimum: 0 },
  revisionHistoryLimit: optionalInteger(0),
  terminationGracePeriodSeconds: optionalInteger(1),
  hostUsers: { type: ['boolean', 'null'] },
  'serviceAccount.name': optionalName,
  'rbac.userRoles': { enum: ['auto', 'always', 'never'] },
  resources: {
    type: 'object',
    properties: { requests: object, limits: object, claims: objects },
    additionalProperties: false,
  },
  'probes.liveness': probe,
  'probes.readiness': probe,
  'probes.startup': probe,
  healthPort: port,
  tolerations: objects,
  topologySpreadConstraints: objects,
  hostAliases: objects,
  dnsPolicy: { enum: ['', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'] },
  extraEnv: named,
  extraEnvFrom: objects,
  extraArgs: { type: 'array', items: { ...text, pattern: '^--[a-z]' } },
  extraVolumes: named,
  extraVolumeMounts: named,
  extraContainers: named,
  extraInitContainers: named,
  extraObjects: { type: 'array', items: { type: ['object', 'string'] } },
  'podDisruptionBudget.maxUnavailable': { type: ['integer', 'string'], pattern: '^[0-9]+%$', minimum: 0 },
  'metrics.secure.port': port,
  'metrics.secure.certificateSecret.name': optionalName,
  'metrics.secure.tlsConfig': object,
  'metrics.secure.authorization': object,
  'metrics.service.type': { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
  'metrics.service.port': port,
  'metrics.service.ipFamilies': { type: 'array', maxItems: 2, uniqueItems: true, items: { enum: ['IPv4', 'IPv6'] } },
  'metrics.service.ipFamilyPolicy': { enum: ['', 'SingleStack', 'PreferDualStack', 'RequireDualStack'] },
  'metrics.prometheusRule.alerts': changesSchema(alerts),
  'metrics.prometheusRule.alertLabels': texts,
  'metrics.prometheusRule.runbookUrl': { ...text, pattern: '^(https?://.+)?$' },
  '*.interval': duration,
  '*.scrapeTimeout': optionalDuration,
  '*.relabelings': objects,
  '*.metricRelabelings': objects,
  'networkPolicy.metricsFrom': objects,
  'networkPolicy.extraIngress': objects,
  '*.to': objects,
  '*.ports': { type: 'array', minItems: 1, items: port },
  'networkPolicy.egress': objects,
};

/** Values that an umbrella chart adds. */
const ofUmbrellas: JsonSchema = {
  enabled: {
    type: 'boolean',
    description: 'Not read by this chart. Umbrella charts use it as the condition of a dependency.',
  },
};

/** Throws an Error that names a shape without a value, or a list or empty map without a shape. */
export function valuesSchema(values: Group): JsonSchema {
  const known = listValues(values).map(({ path }) => path);
  const stale = Object.keys(shapes).find((shape) => !known.some((path) => shapeNames(path).includes(shape)));
  if (stale !== undefined) throw new Error(`there is a shape for ${stale}, but no such value`);
  const { properties, ...root } = groupSchema(values);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart glance-image-operator',
    ...root,
    properties: { ...ofUmbrellas, ...asObject(properties) },
  };
}

function groupSchema({ members, path }: Group) {
  const properties = [...members].map(([name, entry]) => [name, entrySchema(entry)] as const);
  // Helm passes all globals of an umbrella chart to each of its charts, and validates them against this schema.
  const open = path === 'global';
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: open };
}

function entrySchema(entry: Entry): JsonSchema {
  if (entry.kind === 'group') return groupSchema(entry);
  return { description: entry.description, default: entry.default, ...shapeOf(entry) };
}

function shapeOf({ path, default: fallback }: Value): JsonSchema {
  const name = shapeNames(path).find((each) => Object.hasOwn(shapes, each));
  const shape = name === undefined ? undefined : shapes[name];
  if (shape !== undefined) return shape;
  switch (typeof fallback) {
    case 'string':
      return text;
    case 'boolean':
      return { type: 'boolean' };
    case 'object':
      if (fallback !== null && !Array.isArray(fallback)) return object;
  }
  throw new Error(`${path} needs a shape: its default does not imply its type`);
}

function shapeNames(path: string): string[] {
  return [path, `*.${path.slice(path.lastIndexOf('.') + 1)}`];
}

function asObject(value: unknown): object {
  return typeof value === 'object' && value !== null ? value : {};
}
