/**
 * ConfigMaps that resources name, read live by name.
 *
 * Invariant: only `get` is needed, and nothing of a value is in an error.
 */
import * as z from 'zod';
import { OperatorError, responseFieldsOf } from '../lib/errors.ts';
import { mapOf } from '../lib/map-of.ts';
import type { KubernetesClient } from './client.ts';
import { KubernetesError } from './errors.ts';
import { type KubernetesObject, parseObject, type ResourceType } from './resource.ts';

interface Values extends KubernetesObject {
  values: readonly Uint8Array[];
}

const dataSchema = z.object({ data: mapOf(z.string()).optional(), binaryData: mapOf(z.base64()).optional() });

const valuesType: ResourceType<Values> = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  parse(object) {
    const { metadata } = parseObject(object);
    const { data = new Map<string, string>(), binaryData = new Map<string, string>() } = dataSchema.parse(object);
    const texts = [...data.values()].map((value) => Buffer.from(value));
    return { metadata, values: [...texts, ...[...binaryData.values()].map((value) => Buffer.from(value, 'base64'))] };
  },
};

export interface ConfigMapSource {
  /** The values of all keys; undefined where there is no such ConfigMap. */
  configMap(namespace: string, name: string, signal: AbortSignal): Promise<readonly Uint8Array[] | undefined>;
}

export function createConfigMapReader(client: Pick<KubernetesClient, 'get'>): ConfigMapSource {
  return {
    async configMap(namespace, name, signal) {
      try {
        return (await client.get(valuesType, { namespace, name }, signal))?.values;
      } catch (error) {
        if (!(error instanceof KubernetesError) || error.reason !== 'Forbidden') throw error;
        throw new OperatorError(
          `the operator has no right to get ConfigMap ${name} in namespace ${namespace}: set rbac.readConfigMaps in the values of its chart, or put the keys into a Secret (${error.message})`,
          { code: 'KeysForbidden', cause: error, ...responseFieldsOf(error) },
        );
      }
    },
  };
}
