/** Writes what pages say of the releases that were run; with `--check` it only says whether they are up to date. */
import { readFileSync } from 'node:fs';
import { putGenerated } from '../../src/generate/generated.ts';
import { withPart } from '../../src/generate/tables.ts';
import { coverageList, differencesTable, resultsTable, summaryTable } from './page.ts';
import { publishedResults } from './result.ts';

const results = publishedResults();
const parts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'README.md': { releases: summaryTable(results) },
  'docs/reference/compatibility.md': {
    releases: summaryTable(results),
    runs: resultsTable(results),
    coverage: coverageList(),
    differences: differencesTable(),
  },
};

putGenerated(
  Object.fromEntries(
    Object.entries(parts).map(([page, of]) => [
      page,
      Object.entries(of).reduce((text, [name, part]) => withPart(text, name, part), readFileSync(page, 'utf8')),
    ]),
  ),
);
