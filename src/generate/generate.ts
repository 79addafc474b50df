/**
 * Writes what is generated from the sources: the CRD, the reference pages, and the tables of flags, metrics and exit codes.
 * With `--check` it changes nothing and exits with 1 if a file is out of date.
 */
import { readFileSync } from 'node:fs';
import { group, plural } from '../api/group.ts';
import { exitCodesTable } from '../commands/exit.ts';
import { crdYaml } from './crd.ts';
import { putGenerated } from './generated.ts';
import { jsonSchema, jsonSchemaFile } from './json-schema.ts';
import { reasonsPage } from './reasons-page.ts';
import { referencePage } from './reference-page.ts';
import { describeMetrics, emptyRegistry, flagsTable, metricsTable, withPart } from './tables.ts';

/** Pages that are written by hand, with the parts of them that are generated. */
const partsOf: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'docs/reference/flags.md': { flags: flagsTable(), 'exit codes': exitCodesTable() },
  'docs/reference/monitoring.md': { metrics: metricsTable(await describeMetrics(emptyRegistry())) },
};

function filled(page: string): string {
  return Object.entries(partsOf[page] ?? {}).reduce(
    (text, [name, part]) => withPart(text, name, part),
    readFileSync(page, 'utf8'),
  );
}

putGenerated({
  [`crds/${group}_${plural}.yaml`]: crdYaml(),
  [jsonSchemaFile]: jsonSchema(),
  'docs/reference/reasons.md': reasonsPage(),
  'docs/reference/glanceimage.md': referencePage(),
  ...Object.fromEntries(Object.keys(partsOf).map((page) => [page, filled(page)])),
});
