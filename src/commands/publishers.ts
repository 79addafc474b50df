/** Builds what follows publishers. */
import type { Component } from '../controller/supervisor.ts';
import { createEmitter, type Emitter } from '../controller/triggers.ts';
import { createCandidates } from '../image/publishers/candidates.ts';
import type { Following } from '../image/publishers/resolution.ts';
import type { ConfigMapSource } from '../kubernetes/config-map.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { OperatorError } from '../lib/errors.ts';
import type { Key } from '../lib/key.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
import type { SecretNeed } from '../source/kind.ts';
import { createPublishers } from '../source/resolve/publishers.ts';
import { readSecrets } from '../transfer/access.ts';
import type { Asker } from '../transfer/executor.ts';
import type { TransferPlan } from '../transfer/plan.ts';

export interface FollowingAccess {
  following: Following;
  /** Keys whose publisher has something else, or has responded at last. */
  changes: Emitter<Key>;
  component: Component;
}

export interface FollowingOptions {
  asker: Asker;
  limits: TransferPlan['limits'];
  credentials: CredentialSource;
  configMaps: ConfigMapSource;
  clock: Clock;
  random: Random;
}

export function createFollowing({
  asker,
  limits,
  credentials,
  configMaps,
  clock,
  random,
}: FollowingOptions): FollowingAccess {
  const changes = createEmitter<Key>();
  const publishers = createPublishers({
    async secretsOf(namespace, needs, signal) {
      const inSecrets = needs.filter((need) => need.in === undefined);
      const secrets = await readSecrets(credentials, namespace, inSecrets, signal);
      const keys: Uint8Array[] = [];
      for (const need of needs)
        if (need.in === 'ConfigMap') keys.push(...(await readKeys(configMaps, namespace, need, signal)));
      return keys.length === 0 ? secrets : { ...secrets, keys };
    },
    ask: (asking, signal) => asker.ask({ ...asking, limits }, signal),
    onChange: changes.emit,
    clock,
    random,
  });
  return {
    following: { publishers, candidates: createCandidates(clock, random) },
    changes,
    component: {
      name: 'publishers',
      async run(stop) {
        await aborted(stop);
        await publishers.close();
      },
    },
  };
}

async function readKeys(
  configMaps: ConfigMapSource,
  namespace: string,
  { ref: { name }, field }: SecretNeed,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  const values = await configMaps.configMap(namespace, name, signal);
  if (values !== undefined) return values;
  throw new OperatorError(`there is no ConfigMap "${name}" in namespace ${namespace}: create it, or fix ${field}`, {
    code: 'KeysNotFound',
  });
}
