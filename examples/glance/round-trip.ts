/**
 * Makes an image of a file, shows it, brings it back verified, and deletes it:
 *
 *     npm ci && npm run build
 *     node examples/glance/round-trip.ts clouds.yaml demo disk.raw
 */

import { createReadStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { connectImageService, ImageLimitExceeded, importState, OperatorError } from 'glance-image-operator/glance';

const [cloudsFile, cloud, file] = process.argv.slice(2);
if (cloudsFile === undefined || cloud === undefined || file === undefined) {
  console.error('usage: round-trip.ts CLOUDS_YAML CLOUD FILE');
  process.exit(2);
}

await using images = connectImageService({ cloudsYaml: await readFile(cloudsFile, 'utf8'), cloud });
try {
  const { size } = await stat(file);
  const image = await images.create(
    {
      name: 'round trip',
      diskFormat: 'raw',
      containerFormat: 'bare',
      visibility: 'private',
      tags: ['example'],
      properties: { hw_disk_bus: 'virtio', mappings: [{ virtual: 'root', device: 'vda' }] },
    },
    { data: createReadStream(file), size },
  );
  console.log(`${image.id} is ${image.status}: ${image.size} bytes, ${importState(image).kind}`);

  const renamed = await images.update(image.id, { name: 'there and back', properties: { os_distro: 'none' } });
  console.log(`it is called ${renamed.name} and has ${JSON.stringify(renamed.properties)}`);

  for await (const one of images.detail({ filters: { tags: ['example'] }, limit: 10 })) {
    console.log(`listed: ${one.id} of ${one.createdAt.toISOString()}`);
  }

  const copy = `${file}.copy`;
  console.log(`brought back: ${await images.downloadToFile(image.id, copy)} bytes`);
  await rm(copy);
  await images.delete(image.id);
} catch (error) {
  if (!(error instanceof OperatorError)) throw error;
  const { code, httpStatus, requestId } = error;
  console.error(`${error.message} [${[code, httpStatus, requestId].filter(Boolean).join(' ')}]`);
  if (error instanceof ImageLimitExceeded) console.error('Delete unused images, or request a larger quota.');
  process.exitCode = 1;
}
