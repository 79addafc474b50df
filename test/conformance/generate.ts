/** Writes the page of differences, in the working directory; with `--check` it only says whether the page is what it should be. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { putGenerated } from '../../src/generate/generated.ts';
import { cases } from './cases.ts';
import { differencesPage } from './page.ts';

const requirements = readFileSync(join(import.meta.dirname, 'requirements.txt'), 'utf8');
const [, version = ''] = /^cinder==(\S+)/m.exec(requirements) ?? [];
putGenerated({ 'docs/reference/differences-from-cinder.md': differencesPage(cases, version) });
