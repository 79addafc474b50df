/** Builds what follows publishers. */
import type { Component } from '../controller/supervisor.ts';
import { createEmitter, type Emitter } from '../controller/triggers.ts';
import { createCandidates } from '../image/candidates.ts';
import type { Following } from '../image/resolution.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
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
  clock: Clock;
  random: Random;
}

export function createFollowing({ asker, limits, credentials, clock, random }: FollowingOptions): FollowingAccess {
  const changes = createEmitter<Key>();
  const publishers = createPublishers({
    secretsOf: (namespace, needs, signal) => readSecrets(credentials, namespace, needs, signal),
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
