/** Writes what is generated from src/api: the CRD, the page of the resource and the page of reasons. With `--check` it only says whether they are right. */
import { group, plural } from '../group.ts';
import { reasonsPage } from '../reasons-page.ts';
import { referencePage } from '../reference-page.ts';
import { crdYaml } from './crd.ts';
import { putGenerated } from './generated.ts';

putGenerated({
  [`crds/${group}_${plural}.yaml`]: crdYaml(),
  'docs/reasons.md': reasonsPage(),
  'docs/reference/glanceimage.md': referencePage(),
});
