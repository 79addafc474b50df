/**
 * Draws the terminal sessions in docs/how-to: `node_modules/.bin/node test/commands/pictures.ts`.
 *
 * Invariant: the output is that of the commands, for a resource whose Glance and API server are in memory, so it is the same each time.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { painter } from '../../src/commands/output.ts';
import { plannedResource } from '../../src/commands/planned.ts';
import { planText } from '../../src/commands/planned-text.ts';
import { statusList, statusText, summaryOf } from '../../src/commands/status.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { terminalPicture } from '../demo/svg.ts';
import { ahead, type World } from '../image/looking.ts';
import { createWorld } from '../image/world.ts';
import { specOf } from '../image/world-glance.ts';

const folder = resolve(import.meta.dirname, '../../docs/how-to');
const paint = painter({ out: { isTTY: true, write: () => {} }, env: {} });
const prompt = (text: string) => paint('dim', `$ ${text}`);

function resourceOf({ resource }: World) {
  return resource ?? assert.fail();
}

async function planned(world: World): Promise<string> {
  const { namespace, name } = resourceOf(world).metadata;
  return planText([plannedResource({ namespace, name }, true, await ahead(world, 618_659_840))], paint);
}

async function planSession(): Promise<string[]> {
  const properties = { os_distro: 'ubuntu', os_version: '24.04' };
  const world = createWorld({ spec: specOf('a', { minDiskGiB: 3, properties }) });
  const first = await planned(world);
  await world.settle();
  world.edit({ ...specOf('b', { minDiskGiB: 10, properties }), revisions: { keep: 0 } });
  const command = prompt('kubectl glanceimage plan ubuntu');
  const edit = prompt('kubectl edit glanceimage ubuntu   # another digest, minDiskGiB: 10, revisions.keep: 0');
  return [command, ...first.split('\n'), edit, command, ...(await planned(world)).trimEnd().split('\n')];
}

async function statusSession(): Promise<string[]> {
  const settled = createWorld({ spec: specOf('a') });
  await settled.settle();
  settled.edit(specOf('b'));
  await settled.settle();
  const failed = createWorld({ spec: specOf('a') });
  failed.serve(
    () =>
      new OperatorError('https://example.com/image.raw responded with 404', {
        code: 'SourceNotFound',
        httpStatus: 404,
      }),
  );
  for (let reconciles = 0; reconciles < 3; reconciles++) await failed.step();
  const moving = createWorld({ spec: specOf('a') });
  moving.hold();
  await moving.step();
  await moving.step();
  const named = (world: World, name: string) => {
    const resource = resourceOf(world);
    return { ...resource, metadata: { ...resource.metadata, name } };
  };
  const now = failed.clock.now();
  const all = [named(failed, 'debian-13'), named(moving, 'fedora-42'), named(settled, 'ubuntu-24.04')];
  const list = statusList(all.map(summaryOf), now, paint);
  const shown = all
    .flatMap((resource) => (resource.metadata.name === 'fedora-42' ? [] : [resource]))
    .flatMap((resource) => [
      '',
      prompt(`kubectl glanceimage status ${resource.metadata.name}`),
      ...statusText(resource, now, paint).trimEnd().split('\n'),
    ]);
  return [prompt('kubectl glanceimage status'), ...list.trimEnd().split('\n'), ...shown];
}

export async function pictures(): Promise<{ file: string; svg: string }[]> {
  return [
    {
      file: join(folder, 'command-line-plan.svg'),
      svg: terminalPicture('kubectl glanceimage plan', await planSession()),
    },
    {
      file: join(folder, 'command-line-status.svg'),
      svg: terminalPicture('kubectl glanceimage status', await statusSession()),
    },
  ];
}

if (import.meta.main) for (const { file, svg } of await pictures()) writeFileSync(file, svg);
