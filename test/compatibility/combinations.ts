/** The clusters and clouds that `npm run compatibility` runs, and the tests that it runs on each. */
import { current, earlierKubernetes, earlierOpenstack } from '../env/releases.mjs';

export interface Combination {
  kubernetes: string;
  openstack: string;
  /** Where Glance keeps images. */
  store: 'file' | 's3';
}

export const minor = (kubernetes: string) => kubernetes.split('.').slice(0, 2).join('.');

/** As in `npm run compatibility -- NAME`. */
export const nameOf = ({ kubernetes, openstack, store }: Combination): string =>
  [minor(kubernetes), openstack, ...(store === 'file' ? [] : [store])].join('-');

const kubernetesVersions = Object.keys(earlierKubernetes);
const openstackReleases = Object.keys(earlierOpenstack);
const oldest = { kubernetes: kubernetesVersions.at(-1) ?? '', openstack: openstackReleases.at(-1) ?? '' };

/** Each release with the current one of the other, the two oldest together, and a store that is not a folder of files. */
export const combinations: readonly Combination[] = [
  { ...current, store: 'file' },
  ...kubernetesVersions.map((kubernetes) => ({ ...current, kubernetes, store: 'file' as const })),
  ...openstackReleases.map((openstack) => ({ ...current, openstack, store: 'file' as const })),
  { ...oldest, store: 'file' },
  { ...current, store: 's3' },
];

/** What each test file covers. */
export const testFiles: Readonly<Record<string, string>> = {
  'test/operator/main-job.test.ts': 'the main job',
  'test/operator/lifecycle.test.ts': 'edits and deletion',
  'test/operator/transfers.test.ts': 'transfers by the method Upload, and what becomes of their data',
  'test/operator/imports.test.ts': 'the methods Stage and WebDownload, and copies in other stores',
  'test/operator/sharing.test.ts': 'members',
  'test/operator/drift.test.ts': 'drift',
  'test/operator/rolls.test.ts': 'revisions',
  'test/operator/existing.test.ts': 'observation and adoption',
  'test/api/agreement.test.ts': 'the validation of the CRD',
  'test/rbac/permissions.test.ts': "the chart's permissions",
  'test/chart/install.test.ts': 'the chart',
  'test/chart/policies.test.ts': "the chart's policies",
  'test/glance/real.test.ts': "the client's calls to Glance",
  'test/openstack/real.test.ts': "the client's calls to Keystone",
  'test/kubernetes/real.test.ts': "the client's calls to the API server",
};
