/** All functions of an operator in one run. Invariant: it uses every verb that the operator ever needs. */
import assert from 'node:assert/strict';
import { stringify } from 'yaml';
import { reconcileAtAnnotation } from '../../src/api/group.ts';
import { keystoneAnnotation } from '../../src/openstack/service-account.ts';
import { raw } from '../env/images.ts';
import { digestOf } from '../operator/digest.ts';
import type { Installation } from './installation.ts';

export async function doMainJob(installation: Installation): Promise<void> {
  const { world } = installation;
  const body = raw(2 ** 20);
  const url = world.source.add('/image.raw', { body });
  const content = { http: { url, digest: digestOf(body) } };

  await installation.apply('image', { image: { diskFormat: 'raw' }, content });
  await world.ready('image');
  await installation.apply('image', { image: { diskFormat: 'raw', properties: { a: '1' } }, content });
  const { status } = await world.ready('image');
  await correctDriftTwice(installation, 'image', status.imageID);

  await installation.apply('late', { cloud: { secretRef: { name: 'late' }, name: 'demo' } });
  await world.reason('late', 'SecretNotFound');
  await world.writeSecret('late', { 'clouds.yaml': await world.project.cloudsYaml() });
  await world.ready('late');

  if (installation.permissions.some((right) => right.endsWith(' configmaps'))) await publish(installation);

  if (installation.permissions.includes('create serviceaccounts/token')) {
    await applyFederated(installation, 'federated');
    // The Keystone of the tests has no federation, and rejects the token that was requested for it.
    await world.reason('federated', 'AuthenticationFailed');
    await world.delete('federated');
    await world.gone('federated');
  }

  await installation.raceForFinalizer('raced', 'example.com/foreign');
  await world.ready('raced');

  for (const name of ['image', 'late']) {
    await world.delete(name);
    await world.gone(name);
  }
  assert.deepEqual(
    (await world.images()).map((image) => image.name),
    ['raced'],
  );
}

async function publish(installation: Installation): Promise<void> {
  const { world } = installation;
  await applyPublished(installation, 'published');
  await world.ready('published');
  await changeConfigMap(installation, 'published');
  await installation.apply('published');
  await world.ready('published');
  await world.delete('published');
  await world.gone('published');
}

/** The ServiceAccount of `applyFederated`. */
export const federatedAccount = 'federated';

/** A resource that signs in to Keystone with a token of a ServiceAccount, which allows it. */
export async function applyFederated(installation: Installation, name: string): Promise<void> {
  const { stack, namespace, project } = installation.world;
  const { authUrl, region } = stack.openstack;
  const annotations = { [keystoneAnnotation]: new URL(authUrl).origin };
  const metadata = { name: federatedAccount, namespace, annotations };
  await stack.kubernetes.apply(JSON.stringify({ apiVersion: 'v1', kind: 'ServiceAccount', metadata }));
  const federation = { identity_provider: 'kubernetes', protocol: 'openid' };
  const auth = { auth_url: authUrl, ...federation, project_id: project.id };
  const clouds = { demo: { auth_type: 'v3oidcaccesstoken', auth, region_name: region } };
  await installation.world.writeSecret(name, { 'clouds.yaml': stringify({ clouds }) });
  const cloud = { secretRef: { name }, name: 'demo', serviceAccountName: federatedAccount };
  await installation.apply(name, { cloud });
}

/** With a ConfigMap of the same name. */
export async function applyPublished(installation: Installation, name: string): Promise<void> {
  await installation.apply(name, { publish: { configMapRef: { name } } });
}

/** Changes a ConfigMap behind the operator's back, and has the operator look at it. */
export async function changeConfigMap({ world }: Installation, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${world.namespace}/configmaps/${name}`;
  const options = { contentType: 'application/merge-patch+json' };
  (await world.stack.kubernetes.request('PATCH', path, { data: { imageID: 'other' } }, options)).ok();
  await world.annotate(name, reconcileAtAnnotation, 'changed');
  await world.until(name, 'looked at', ({ status }) => status.lastHandledReconcileAt === 'changed');
}

/** The second time is reported by the same event, with a count. */
export async function correctDriftTwice(
  { world }: Installation,
  name: string,
  imageID: string | undefined,
): Promise<void> {
  for (const round of ['1', '2']) {
    await world.patchImage(imageID, [{ op: 'add', path: '/stray', value: round }]);
    await world.annotate(name, 'glance-image-operator.dev/reconcile-at', round);
    await world.until(name, 'looked at', (now) => now.status.lastHandledReconcileAt === round);
  }
}
