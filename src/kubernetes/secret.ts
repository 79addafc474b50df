/**
 * Secrets. Invariant: they are listed and watched as metadata only and read live by name when their content is used; their
 * values are hidden from the moment they are parsed.
 */
import { z } from 'zod';
import { SecretString } from '../lib/secret.ts';
import type { KubernetesClient } from './client.ts';
import { type KubernetesObject, metadataOnly, parseObject, type ResourceType } from './resource.ts';

export interface Secret extends KubernetesObject {
  /** The decoded values, as UTF-8 text. */
  data: ReadonlyMap<string, SecretString>;
}

const dataSchema = z.object({ data: z.record(z.string(), z.base64()).optional() });

/** For a live `get` of one Secret. */
export const secretType: ResourceType<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  parse(object) {
    const { metadata } = parseObject(object);
    const data = new Map<string, SecretString>();
    for (const [name, value] of Object.entries(dataSchema.parse(object).data ?? {}))
      data.set(name, new SecretString(Buffer.from(value, 'base64').toString('utf8')));
    return { metadata, data };
  },
};

/** For lists and watches. */
export const secretMetadataType = metadataOnly(secretType);

/** Reads Secrets live, as the credential source of the operator. `hostsAnnotation` lists the hosts that values may go to. */
export function createSecretReader(client: Pick<KubernetesClient, 'get'>, hostsAnnotation: string) {
  return {
    async secret(namespace: string, name: string, signal: AbortSignal) {
      const secret = await client.get(secretType, { namespace, name }, signal);
      const hosts = secret?.metadata.annotations?.[hostsAnnotation];
      return secret && { version: secret.metadata.resourceVersion, data: secret.data, hosts };
    },
  };
}
