/**
 * What differs between releases, as far as the operator or its users notice it.
 *
 * Invariant: a test that fails on a release is named here, or the combination fails; and a test that is named here fails.
 */
import { earlierKubernetes, earlierOpenstack } from '../env/releases.mjs';
import type { Combination } from './combinations.ts';

type Where = { kubernetesUpTo: string } | { openstackUpTo: string } | { store: Combination['store'] };

export interface Difference {
  where: Where;
  /** A sentence for users. */
  what: string;
  /** Bridged: the operator behaves as on other releases. Listed: it does not, and `what` says how. */
  consequence: 'bridged' | 'listed';
  /** The tests that fail there. */
  tests?: readonly string[];
}

export const differences: readonly Difference[] = [
  {
    where: { kubernetesUpTo: '1.30' },
    what: 'The API server drops `selectableFields` from the CRD, so resources cannot be selected by their fields. Argo CD shows it as a difference of the CRD: ignore it with `jqPathExpressions: [".spec.versions[].selectableFields"]`. A `helm upgrade` to the same version writes the CRD again.',
    consequence: 'listed',
    tests: [
      'kubectl finds resources by the fields that the CRD makes selectable',
      'an upgrade to the same version changes no object',
    ],
  },
  {
    where: { kubernetesUpTo: '1.34' },
    what: 'The message of a rejected resource shows "string" in place of the rejected value.',
    consequence: 'listed',
    tests: ['kubectl shows each violation and its remedy in one sentence'],
  },
  {
    where: { kubernetesUpTo: '1.30' },
    what: 'The message of a rejected resource may name a field without the path to it.',
    consequence: 'listed',
    tests: ['the API server counts the characters of a status as zod does'],
  },
  {
    where: { kubernetesUpTo: '1.30' },
    what: 'The API server has no streaming lists (`WatchList`): it rejects the first request for one, and the operator lists resources in pages.',
    consequence: 'bridged',
    tests: [
      'a list of more than one page is complete, and a store follows what happens after it',
      'a streaming list yields the same objects as a list, also for metadata',
    ],
  },
  {
    where: { openstackUpTo: '2025.1' },
    what: 'Glance does not read `x-openstack-image-size`, so a store does not get the length of an image before its data: Ceph makes the image larger as it grows, and S3 holds the whole image in the memory of Glance. An upload that goes over the quota of a project is stored, and the next one is rejected.',
    consequence: 'listed',
    tests: ['a used up quota is an ImageLimitExceeded, even with most of the data unsent'],
  },
  {
    where: { openstackUpTo: '2024.2' },
    what: 'Glance stores data in another format than the declared one. The operator inspects what it sends, and rejects it before the upload; what Glance downloads by itself is not inspected.',
    consequence: 'bridged',
    tests: ['data in another format than declared is a FormatMismatch'],
  },
  {
    where: { openstackUpTo: '2024.1' },
    what: 'The Image API ends before version 2.17, so it has no calls to add locations; only the library uses them.',
    consequence: 'listed',
    tests: ['Glance lists the versions of its API'],
  },
  {
    where: { openstackUpTo: 'zed' },
    what: 'A user with only the role reader can create images, unless the cloud sets `enforce_new_defaults` in `[oslo_policy]`.',
    consequence: 'listed',
    tests: ['an invalid or forbidden request is reported with the message of Glance'],
  },
  {
    where: { store: 's3' },
    what: 'Glance holds an image whose length it does not know, such as one from a gzip file, in its memory until the upload ends (`_add_singlepart` of `_drivers/s3.py`).',
    consequence: 'listed',
  },
];

/** Tests whose set-up uses the `openstack` command, which the earlier releases of PyPI are installed without. */
export const needsCommand = [
  'import alone changes exactly the mark of 40 images of catalogues and of every kind of image, also after ten drift checks and a forced one',
];
const hasNoCommand = ({ openstack }: Combination) => earlierOpenstack[openstack]?.from === 'PyPI';

/** From the newest to the oldest; a release that is not among them is the current one. */
const isUpTo = (releases: readonly string[], release: string, limit: string) =>
  releases.includes(release) && releases.indexOf(release) >= releases.findIndex((each) => each.startsWith(limit));

export function appliesTo({ where }: Difference, combination: Combination): boolean {
  if ('store' in where) return combination.store === where.store;
  return 'kubernetesUpTo' in where
    ? isUpTo(Object.keys(earlierKubernetes), combination.kubernetes, where.kubernetesUpTo)
    : isUpTo(Object.keys(earlierOpenstack), combination.openstack, where.openstackUpTo);
}

export interface Verdict {
  /** Failed tests that no difference names. */
  unexplained: readonly string[];
  /** Named by a difference that applies, and not failed. */
  stale: readonly string[];
}

export function verdictOf(
  combination: Combination,
  failed: readonly string[],
  table: readonly Difference[] = differences,
): Verdict {
  const differ = table.filter((each) => appliesTo(each, combination)).flatMap(({ tests = [] }) => tests);
  const expected = [...differ, ...(hasNoCommand(combination) ? needsCommand : [])];
  return {
    unexplained: failed.filter((name) => !expected.includes(name)),
    stale: expected.filter((name) => !failed.includes(name)),
  };
}
