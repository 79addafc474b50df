/**
 * Sets of values and the objects that the chart renders with them: `goldens/NAME.values.yaml` and `goldens/NAME.yaml`, so that every
 * change of the chart is reviewed. `npm run generate` updates them.
 */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { render } from '../../charts/helm.ts';

const folder = join(import.meta.dirname, 'goldens');
const suffix = '.values.yaml';

export interface Golden {
  name: string;
  /** The file with the expected output of helm. */
  file: string;
  rendered(): Promise<string>;
}

export const goldens: readonly Golden[] = globSync(`*${suffix}`, { cwd: folder })
  .sort()
  .map((values) => {
    const name = basename(values, suffix);
    return {
      name,
      file: join(folder, `${name}.yaml`),
      rendered: () => render({ name: 'images', namespace: 'images-system', values: [join(folder, values)] }),
    };
  });
