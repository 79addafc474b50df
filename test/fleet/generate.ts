/** Writes the page about scale, in the working directory; with `--check` it only compares. */
import { putGenerated } from '../../src/generate/generated.ts';
import { scalePage } from './page.ts';

putGenerated({ 'docs/explanation/scale.md': await scalePage() });
