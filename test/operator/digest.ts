import { type Content, digestOf as hexDigestOf } from '../env/content.ts';

/** `sha256:<hex>` of the bytes, as a manifest declares it. */
export function digestOf(bytes: Buffer | Content, algorithm: 'sha256' | 'sha512' | 'md5' = 'sha256'): string {
  return `${algorithm}:${hexDigestOf(bytes, algorithm)}`;
}
