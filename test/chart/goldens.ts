/**
 * Sets of values and what the chart makes of them: `goldens/NAME.values.yaml` and `goldens/NAME.yaml`. A change of the chart shows
 * in them; `npm run generate` writes them anew.
 */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { render } from '../../charts/helm.ts';

const folder = join(import.meta.dirname, 'goldens');
const suffix = '.values.yaml';

export interface Golden {
  name: string;
  /** The file with what helm is to say. */
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
