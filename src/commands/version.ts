/** `glance-image-operator version` */
import { version } from '../lib/version.ts';

export async function printVersion(): Promise<void> {
  process.stdout.write(`${version}\n`);
}
