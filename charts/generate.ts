/**
 * Generates parts of the chart: its version, the CRD, the schema of the values, the links of the alerts, and the tables of the README.
 * With `--check` it only reports whether they are up to date.
 */
import { readFileSync } from 'node:fs';
import { group, plural } from '../src/api/group.ts';
import { crdYaml } from '../src/generate/crd.ts';
import { putGenerated } from '../src/generate/generated.ts';
import { withPart } from '../src/generate/tables.ts';
import { programVersion } from '../src/lib/version.ts';
import { withVersion } from './alerts.ts';
import { settingsTable, valuesTable } from './readme.ts';
import { valuesSchema } from './schema.ts';
import { readValues } from './values.ts';

const chart = 'charts/glance-image-operator';
const read = (file: string) => readFileSync(`${chart}/${file}`, 'utf8');
const values = readValues(read('values.yaml'));

const readme = Object.entries({ values: valuesTable(values), settings: settingsTable() }).reduce(
  (page, [name, table]) => withPart(page, name, table),
  read('README.md'),
);
const definition = read('Chart.yaml')
  .replace(/^(version|appVersion): .*$/gm, `$1: ${programVersion}`)
  .replace(/(image: \S+\/glance-image-operator):\S+/, `$1:${programVersion}`);

putGenerated({
  [`${chart}/Chart.yaml`]: definition,
  [`${chart}/README.md`]: readme,
  [`${chart}/values.schema.json`]: `${JSON.stringify(valuesSchema(values), null, 2)}\n`,
  [`${chart}/files/alerts.yaml`]: withVersion(read('files/alerts.yaml'), programVersion),
  [`${chart}/files/crds/${group}_${plural}.yaml`]: crdYaml(),
});
