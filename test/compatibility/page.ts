/** The tables of the pages that say what was run. Invariant: they claim nothing that is not in the results. */
import { current, earlierKubernetes, earlierOpenstack } from '../env/releases.mjs';
import { combinations, minor, nameOf, testFiles } from './combinations.ts';
import { type Difference, differences, needsCommand, verdictOf } from './differences.ts';
import type { Result } from './result.ts';

/** Of a cell of a table. */
const oneLine = (text: string) => text.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ');

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(oneLine).join(' | ')} |`;
  return [line(heads), `|${heads.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

const named = (openstack: string) => (openstack === 'zed' ? 'Zed' : openstack);

/** Whether the combination was run, and is as the table of differences says. */
export function isGood(result: Result): boolean {
  if (result.outcome.is === 'not run') return false;
  const { unexplained, stale } = verdictOf(result, result.outcome.failed);
  return unexplained.length === 0 && stale.length === 0;
}

/** Every combination, with what came of it. */
export function resultsTable(results: readonly Result[]): string {
  const byName = new Map(results.map((result) => [nameOf(result), result]));
  const rows = combinations.map((combination) => {
    const { kubernetes, openstack, store } = combination;
    const result = byName.get(nameOf(combination));
    const where = [kubernetes, named(openstack), store === 's3' ? 'S3 and files' : 'files'];
    if (result === undefined) return [...where, '', '', 'not run', ''];
    const { outcome, ran } = result;
    if (outcome.is === 'not run') return [...where, '', '', `not run: ${outcome.error}`, ran];
    const { passed, failed } = outcome;
    const { unexplained } = verdictOf(combination, failed);
    const listed = failed.filter((name) => !unexplained.includes(name) && !needsCommand.includes(name)).length;
    const withoutCommand = failed.filter((name) => needsCommand.includes(name)).length;
    const parts = [
      `${passed} tests passed`,
      ...(listed > 0 ? [`${listed} ${listed === 1 ? 'differs' : 'differ'} as listed below`] : []),
      ...(withoutCommand > 0 ? [`${withoutCommand} not run, because it needs the \`openstack\` command`] : []),
      ...unexplained.map((name) => `failed: ${name}`),
    ];
    return [...where, outcome.keystone, outcome.glance, parts.join('; '), ran];
  });
  return table(['Kubernetes', 'OpenStack', 'stores', 'Keystone', 'Glance', 'result', 'day of the run'], rows);
}

function whereOf({ where }: Difference): string {
  if ('store' in where) return where.store === 's3' ? 'S3 stores' : 'file stores';
  return 'kubernetesUpTo' in where
    ? `Kubernetes up to ${where.kubernetesUpTo}`
    : `OpenStack up to ${named(where.openstackUpTo)}`;
}

export const differencesTable = (): string =>
  table(
    ['where', 'difference', 'operator'],
    differences.map((each) => [
      whereOf(each),
      each.what,
      each.consequence === 'bridged' ? 'behaves as on other releases' : 'behaves as described',
    ]),
  );

export const coverageList = (): string =>
  Object.values(testFiles)
    .map((what) => `- ${what}`)
    .join('\n');

/** From the newest to the oldest, of the combinations that are as they should be. */
export function testedReleases(results: readonly Result[]): { kubernetes: string[]; openstack: string[] } {
  const good = new Set(results.filter(isGood).map(nameOf));
  const of = combinations.filter((each) => good.has(nameOf(each)));
  const run = new Set(of.flatMap(({ kubernetes, openstack }) => [kubernetes, openstack]));
  const inOrder = (newest: string, earlier: object) =>
    [newest, ...Object.keys(earlier)].filter((each) => run.has(each));
  return {
    kubernetes: inOrder(current.kubernetes, earlierKubernetes).map(minor),
    openstack: inOrder(current.openstack, earlierOpenstack).map(named),
  };
}

/** The rows of README.md. */
export function summaryTable(results: readonly Result[]): string {
  const { kubernetes, openstack } = testedReleases(results);
  return table(
    ['', 'required', 'tested'],
    [
      ['Kubernetes', `${kubernetes.at(-1)} or later`, kubernetes.join(', ')],
      ['OpenStack', 'Image API v2, Identity API v3', openstack.join(', ')],
      ['Helm', '3.8 or later', '4'],
      ['Container image', 'Linux on amd64 or arm64', 'the programs in it, not the image as a whole'],
    ],
  );
}
