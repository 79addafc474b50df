/** Writes what is generated from flags, metrics and exit codes into docs/operations.md. With `--check` it only says whether it is right. */
import { readFileSync } from 'node:fs';
import { putGenerated } from '../api/crd/generated.ts';
import { exitCodesTable } from './exit.ts';
import { describeMetrics, emptyRegistry, flagsTable, metricsTable, withPart } from './tables.ts';

const page = 'docs/operations.md';
const parts = {
  flags: flagsTable(),
  metrics: metricsTable(await describeMetrics(emptyRegistry())),
  'exit codes': exitCodesTable(),
};
const text = Object.entries(parts).reduce(
  (before, [name, part]) => withPart(before, name, part),
  readFileSync(page, 'utf8'),
);
putGenerated({ [page]: text });
