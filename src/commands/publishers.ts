/** Builds what follows publishers, as configured: with the connections of sources, and their egress policy. */
import type { Component } from '../controller/supervisor.ts';
import { createEmitter, type Emitter } from '../controller/triggers.ts';
import { createEgressPolicy, type EgressRules } from '../http/egress.ts';
import type { Trust } from '../http/trust.ts';
import { createCandidates } from '../image/candidates.ts';
import type { Following } from '../image/resolution.ts';
import { aborted } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Key } from '../lib/key.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
import { createPublishers } from '../source/resolve/publishers.ts';
import { createSourceTransport } from '../source/transport.ts';
import { readSecrets } from '../transfer/access.ts';

export interface FollowingAccess {
  following: Following;
  /** Keys whose publisher has something else, or has responded at last. */
  changes: Emitter<Key>;
  component: Component;
}

export interface FollowingOptions {
  /** Of sources. */
  egress: EgressRules;
  trust: Trust;
  credentials: CredentialSource;
  clock: Clock;
  random: Random;
}

export function createFollowing({ egress, trust, credentials, clock, random }: FollowingOptions): FollowingAccess {
  const changes = createEmitter<Key>();
  const policy = createEgressPolicy(egress);
  const publishers = createPublishers({
    secretsOf: (namespace, needs, signal) => readSecrets(credentials, namespace, needs, signal),
    transportWith: (ca) => createSourceTransport(policy, { trust, ca }),
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
