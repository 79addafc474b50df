/**
 * Builds the access of the operator to Secrets and ServiceAccounts: the watch of the metadata of Secrets, if the settings want it, and
 * the readers of those that resources name.
 */
import type { GlanceImage } from '../api/glanceimage.ts';
import type { Component } from '../controller/supervisor.ts';
import { createEmitter, type Emitter, type ObjectChange } from '../controller/triggers.ts';
import { bySecret } from '../image/access/resources.ts';
import { createSecrets, type Secrets, secretsAwaited } from '../image/access/secrets.ts';
import type { Store } from '../kubernetes/reflector.ts';
import { type KubernetesObject, readable } from '../kubernetes/resource.ts';
import { createSecretReader, secretMetadataType } from '../kubernetes/secret.ts';
import { createServiceAccounts } from '../kubernetes/service-account.ts';
import type { ApiTransport } from '../kubernetes/transport.ts';
import type { CredentialSource } from '../openstack/credential-source.ts';
import { keystoneAnnotation, type ServiceAccountTokens } from '../openstack/service-account.ts';
import { hostsAnnotation } from '../source/header-hosts.ts';
import { createWatch, type Watch, type WatchedStoreOptions } from './watches.ts';

export interface SecretAccessOptions extends Omit<WatchedStoreOptions<KubernetesObject>, 'type' | 'indexes'> {
  /** For tokens of ServiceAccounts. */
  transport: Pick<ApiTransport, 'request'>;
  watched: boolean;
  images: Store<GlanceImage>;
  whenLeading: (signal: AbortSignal) => Promise<void>;
}

export interface SecretAccess {
  secrets: Secrets;
  /** For sessions with clouds. */
  signIn: { credentials: CredentialSource; serviceAccountTokens: ServiceAccountTokens };
  /** Secrets whose content is new. */
  changes: Emitter<ObjectChange>;
  watch: Watch<KubernetesObject>;
  components: Component[];
}

export function createSecretAccess(options: SecretAccessOptions): SecretAccess {
  const { transport, watched, images, client, clock, log } = options;
  const changes = createEmitter<ObjectChange>();
  const watch = createWatch({ ...options, ...(watched ? {} : { namespaces: [] }), type: secretMetadataType });
  const secrets = createSecrets({
    read: createSecretReader(client, hostsAnnotation).secret,
    watched,
    awaited: () => secretsAwaited(readable(images.list()), clock.now()),
    isUsed: (key) => images.findBy(bySecret, key).length > 0,
    onChange: (key) => changes.emit({ key, origin: 'watch' }),
    clock,
    log,
  });
  watch.store.subscribe((change) => {
    secrets.reported(change.key, change.kind === 'deleted' ? undefined : change.after.object.metadata.resourceVersion);
  });
  const reading: Component = {
    name: 'secrets',
    async run(stop) {
      await Promise.all([watch.store.whenSynced(stop), images.whenSynced(stop)]);
      await options.whenLeading(stop);
      await secrets.run(stop);
    },
  };
  const { serviceAccount, serviceAccountTokens } = createServiceAccounts(transport, client, keystoneAnnotation);
  const signIn = { credentials: { ...secrets.credentials, serviceAccount }, serviceAccountTokens };
  return { secrets, signIn, changes, watch, components: [watch.component, reading] };
}
