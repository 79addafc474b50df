/**
 * What a request must carry to be let in, as client-node reads it from a kubeconfig: static tokens, exec plugins, OIDC,
 * token files, client certificates. Law: nothing is cached here; whoever asks gets what is true now.
 */
import { createHash } from 'node:crypto';
import type { RequestOptions as HttpsOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { compact } from '../lib/compact.ts';
import { describe, retry } from '../lib/errors.ts';
import { KubernetesError } from './errors.ts';

export interface Credentials {
  headers: Record<string, string>;
  tls: Pick<HttpsOptions, 'ca' | 'cert' | 'key' | 'pfx' | 'passphrase' | 'servername' | 'rejectUnauthorized'>;
  /** Differs when `tls` differs: then open connections are of no use for new calls. */
  fingerprint: string;
}

/** Runs exec plugins, refreshes OIDC tokens and reads files where the kubeconfig says so. */
export async function readCredentials(config: KubeConfig): Promise<Credentials> {
  const found: HttpsOptions = {};
  try {
    await config.applyToHTTPSOptions(found);
  } catch (error) {
    throw new KubernetesError(`The credentials for the API server could not be read: ${describe(error)}`, {
      reason: 'CredentialsUnavailable',
      retry: retry.backoff,
      cause: error,
    });
  }
  const headers: Record<string, string> = {};
  // Token files may end in a newline, which no header may.
  for (const [name, value] of Object.entries(found.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (typeof found.auth === 'string') headers['authorization'] = `Basic ${Buffer.from(found.auth).toString('base64')}`;
  const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = found;
  const tls = compact({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized });
  return { headers, tls, fingerprint: createHash('sha256').update(JSON.stringify(tls)).digest('hex') };
}
