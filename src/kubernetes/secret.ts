/**
 * Secrets. Invariant: they are listed and watched as metadata only and read live by name when their content is used; their
 * values are hidden from the moment they are parsed.
 */
import { createHmac } from 'node:crypto';
import * as z from 'zod';
import { mapOf } from '../lib/map-of.ts';
import { SecretString } from '../lib/secret.ts';
import type { KubernetesClient } from './client.ts';
import { type KubernetesObject, metadataOnly, parseObject, type ResourceType } from './resource.ts';

export interface Secret extends KubernetesObject {
  /** The decoded values, as UTF-8 text. */
  data: ReadonlyMap<string, SecretString>;
}

const dataSchema = z.object({ data: mapOf(z.base64()).optional() });

/** For a live `get` of one Secret. */
export const secretType: ResourceType<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  parse(object) {
    const { metadata } = parseObject(object);
    const data = new Map<string, SecretString>();
    for (const [name, value] of dataSchema.parse(object).data ?? [])
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
      if (secret === undefined) return undefined;
      const { resourceVersion } = secret.metadata;
      return { version: contentVersion(secret, hosts), resourceVersion, data: secret.data, hosts };
    },
  };
}

/**
 * 64 bits that change with the content, and with no other metadata. The key is the uid of the Secret: only users who may read
 * the Secret know it, so other users cannot test guesses of its values against the version, which a status shows.
 */
function contentVersion({ metadata, data }: Secret, hosts: string | undefined): string {
  const values = [...data].map(([key, value]) => [key, value.reveal()]).sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
  const hash = createHmac('sha256', metadata.uid).update(JSON.stringify([values, hosts ?? null]));
  return hash.digest('hex').slice(0, 16);
}
