/**
 * The certificates of the installation, from a file with PEM text such as trust-manager puts into a ConfigMap.
 *
 * Guarantees: the operator starts without a usable file, because the ConfigMap may be filled later; a command that a person runs
 * does not.
 */
import { readFile } from 'node:fs/promises';
import { type ChangingTrust, createTrust, readBundle, type Trust } from '../http/trust.ts';
import { describe } from '../lib/errors.ts';
import { UsageError } from './config.ts';
import { type FollowedFile, type Follower, followFile } from './followed-file.ts';

export interface TrustOptions extends Pick<FollowedFile<unknown>, 'clock' | 'log'> {
  trust: ChangingTrust;
}

/** Undefined without a path. */
export function followTrust(path: string | undefined, { trust, ...options }: TrustOptions): Follower | undefined {
  if (path === undefined) return undefined;
  return followFile({
    ...options,
    path,
    what: 'CA certificates of the installation',
    read: readBundle,
    initial: trust.current(),
    apply: trust.set,
    shown: (certificates) => ({ certificates: certificates.length }),
  });
}

/** Throws UsageError if the file is unusable. */
export async function readTrust(path: string | undefined): Promise<Trust> {
  const trust = createTrust();
  if (path === undefined) return trust;
  try {
    trust.set(readBundle(await readFile(path, 'utf8')));
  } catch (error) {
    throw new UsageError(`--ca-bundle: ${path} cannot be used: ${describe(error)}`);
  }
  return trust;
}
