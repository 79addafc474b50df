/** Renders each set of values in goldens/. Requires `npm run setup`, or helm on the PATH. */
import { writeFileSync } from 'node:fs';
import { goldens } from './goldens.ts';

for (const { file, rendered } of goldens) writeFileSync(file, await rendered());
