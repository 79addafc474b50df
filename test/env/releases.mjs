/**
 * The releases of Kubernetes and OpenStack that a stack can be started with. Plain JavaScript, because it runs before anything is
 * installed.
 *
 * Invariant: a release that is named in the environment and not listed here ends the program before anything is made.
 */

/** The releases of `npm test`, which its own pinned files describe. */
export const current = { kubernetes: '1.37.2', openstack: '2026.2' };

/**
 * Earlier versions of Kubernetes, the newest patch of each minor that is published as a Go module, with the modules of its
 * repository that are not published at that patch.
 */
export const earlierKubernetes = {
  '1.36.3': { 'k8s.io/sample-apiserver': 'v0.36.4' },
  '1.34.4': { 'k8s.io/sample-apiserver': 'v0.34.2' },
  '1.32.13': { 'k8s.io/sample-apiserver': 'v0.32.3', 'k8s.io/endpointslice': 'v0.32.12' },
  '1.30.14': { 'k8s.io/sample-apiserver': 'v0.30.6' },
};

/** What uwsgi loads. */
const modules = { keystone: 'keystone.wsgi.api:application', glance: 'glance.wsgi.api:application' };
/** What it loads of releases before 2025.1, which have no modules for it. */
const functions = {
  keystone: 'keystone.server.wsgi:initialize_public_application()',
  glance: 'glance.common.wsgi_app:init_app()',
};

/**
 * Earlier releases of OpenStack. Those of PyPI are pinned in `openstack/`; that of Debian 12 is made of its own packages,
 * whose versions are those of the day.
 */
export const earlierOpenstack = {
  2025.1: { from: 'PyPI', wsgi: modules },
  2024.2: { from: 'PyPI', wsgi: functions },
  2024.1: { from: 'PyPI', wsgi: functions },
  2023.2: { from: 'PyPI', wsgi: functions },
  2023.1: { from: 'PyPI', wsgi: functions },
  zed: { from: 'Debian 12', wsgi: functions },
};

function chosen(variable, fallback, earlier) {
  const release = process.env[variable] ?? fallback;
  if (release === fallback || Object.hasOwn(earlier, release)) return release;
  throw new Error(`${variable}=${release} is not one of ${[fallback, ...Object.keys(earlier)].join(', ')}`);
}

/** The environment variables that choose what a stack is made of. */
export const releaseVariables = {
  kubernetes: 'GLANCE_IMAGE_OPERATOR_KUBERNETES',
  openstack: 'GLANCE_IMAGE_OPERATOR_OPENSTACK',
  store: 'GLANCE_IMAGE_OPERATOR_STORE',
};

/** Where the Glance of this process's stack keeps images: in folders of files, or in an S3 server. */
export const store = chosen(releaseVariables.store, 'file', { s3: true });

/** The releases of this process's stack. */
export const release = {
  kubernetes: chosen(releaseVariables.kubernetes, current.kubernetes, earlierKubernetes),
  openstack: chosen(releaseVariables.openstack, current.openstack, earlierOpenstack),
};

export const isCurrent = {
  kubernetes: release.kubernetes === current.kubernetes,
  openstack: release.openstack === current.openstack,
};

export const wsgi = isCurrent.openstack ? modules : earlierOpenstack[release.openstack].wsgi;
