/** `glance-image-operator version` */
import { programVersion } from '../lib/version.ts';

export async function printVersion(): Promise<void> {
  process.stdout.write(`${programVersion}\n`);
}
