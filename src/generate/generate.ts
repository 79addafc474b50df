/**
 * Writes what is generated from the sources: the CRD, the reference pages, and the tables of flags, metrics and exit codes.
 * With `--check` it changes nothing and exits with 1 if a file is out of date.
 */
import { readFileSync } from 'node:fs';
import { group, plural } from '../api/group.ts';
import { exitCodesTable } from '../commands/exit.ts';
import { crdYaml } from './crd.ts';
import { putGenerated } from './generated.ts';
import { reasonsPage } from './reasons-page.ts';
import { referencePage } from './reference-page.ts';
import { describeMetrics, emptyRegistry, flagsTable, metricsTable, withPart } from './tables.ts';

const operations = 'docs/operations.md';
const parts = {
  flags: flagsTable(),
  metrics: metricsTable(await describeMetrics(emptyRegistry())),
  'exit codes': exitCodesTable(),
};

putGenerated({
  [`crds/${group}_${plural}.yaml`]: crdYaml(),
  'docs/reasons.md': reasonsPage(),
  'docs/reference/glanceimage.md': referencePage(),
  [operations]: Object.entries(parts).reduce(
    (page, [name, part]) => withPart(page, name, part),
    readFileSync(operations, 'utf8'),
  ),
});
