/**
 * From a Secret to a cloud that can be talked to. Laws: the Secret is read live, by name, and never kept; resources whose
 * credentials are equal share one session, with its token and its connections; a session nobody has used for a while is
 * closed.
 */
import { createHash } from 'node:crypto';
import { createImageClient, type ImageClient } from '../glance/client.ts';
import type { KubernetesClient } from '../kubernetes/client.ts';
import { type Secret, secretType } from '../kubernetes/secret.ts';
import type { Clock } from '../lib/clock.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { type CloudConfig, type CloudFiles, parseCloud } from '../openstack/clouds.ts';
import type { Session } from '../openstack/session.ts';

/** Which cloud of which Secret; plain JSON. */
export interface CloudRef {
  namespace: string;
  secretName: string;
  name: string;
  region?: string | undefined;
}

export interface Cloud {
  images: ImageClient;
  projectID: string;
  region: string | undefined;
}

/** A Secret as it is read at the moment of use. */
export interface ReadSecret {
  version: string;
  /** Throws an OperatorError that says what is wrong with the Secret or the cloud behind it. */
  open(signal: AbortSignal): Promise<Cloud>;
}

export interface Clouds {
  /** Throws an OperatorError `SecretNotFound` when there is no such Secret. */
  read(ref: CloudRef, signal: AbortSignal): Promise<ReadSecret>;
  close(): Promise<void>;
}

export interface CloudsOptions {
  client: KubernetesClient;
  clock: Clock;
  createSession: (config: CloudConfig) => Session;
}

const idleMs = 3_600_000;
/** A bound on open sessions; the one that was used longest ago makes room. */
const maxSessions = 1000;

interface Entry {
  session: Session;
  images: ImageClient;
  usedAt: number;
}

export function createClouds({ client, clock, createSession }: CloudsOptions): Clouds {
  const sessions = new Map<string, Entry>();

  function open(key: string, config: CloudConfig): Entry {
    const session = createSession(config);
    const entry = { session, images: createImageClient(session), usedAt: clock.monotonic() };
    sessions.set(key, entry);
    return entry;
  }

  function closeUnused(): void {
    const byAge = [...sessions].sort(([, a], [, b]) => a.usedAt - b.usedAt);
    for (const [key, { session, usedAt }] of byAge) {
      if (clock.monotonic() - usedAt < idleMs && sessions.size <= maxSessions) return;
      sessions.delete(key);
      void session.close();
    }
  }

  return {
    async read(ref, signal) {
      const secret = await readSecret(client, ref, signal);
      return {
        version: secret.metadata.resourceVersion,
        async open(openSignal) {
          const files = filesOf(ref, secret.data);
          const key = createHash('sha256')
            .update(JSON.stringify([files, ref.name, ref.region]))
            .digest('hex');
          const entry = sessions.get(key) ?? open(key, parseCloud(files, ref.name, ref.region));
          entry.usedAt = clock.monotonic();
          closeUnused();
          const { project } = await entry.session.identity(openSignal);
          if (project === undefined) throw unscoped(ref);
          return { images: entry.images, projectID: project.id, region: entry.session.cloud.services.image.region };
        },
      };
    },
    async close() {
      const open = [...sessions.values()];
      sessions.clear();
      await Promise.all(open.map(({ session }) => session.close()));
    },
  };
}

async function readSecret(client: KubernetesClient, ref: CloudRef, signal: AbortSignal): Promise<Secret> {
  const secret = await client.get(secretType, { namespace: ref.namespace, name: ref.secretName }, signal);
  if (secret !== undefined) return secret;
  throw new OperatorError(
    `there is no Secret "${ref.secretName}" in namespace ${ref.namespace}: create it with a key clouds.yaml, or mend spec.cloud.secretName`,
    { code: 'SecretNotFound', retry: retry.changeOrAfter(600_000) },
  );
}

function filesOf(ref: CloudRef, data: Secret['data']): CloudFiles {
  const cloudsYaml = data.get('clouds.yaml');
  if (cloudsYaml === undefined) {
    const keys = [...data.keys()].join(', ');
    throw new OperatorError(
      `Secret "${ref.secretName}" has no key clouds.yaml; it has ${keys === '' ? 'no key at all' : keys}`,
      {
        code: 'SecretInvalid',
        retry: retry.change,
      },
    );
  }
  const cacert = data.get('cacert');
  return { cloudsYaml: cloudsYaml.reveal(), ...(cacert === undefined ? {} : { cacert: cacert.reveal() }) };
}

function unscoped({ name }: CloudRef): OperatorError {
  return new OperatorError(
    `the credentials of cloud "${name}" name no project: set project_name or project_id in clouds.yaml`,
    {
      code: 'SecretInvalid',
      retry: retry.change,
    },
  );
}
