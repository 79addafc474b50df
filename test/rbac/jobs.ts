/** The purpose of each permission for Jobs, shown by an operator without it. No kubelet runs their pods, so Jobs stay active. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { raw } from '../env/images.ts';
import { eventually } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import type { Case } from './cases.ts';
import type { Permission } from './chart.ts';
import type { Installation, InstallationOptions } from './installation.ts';

/** Every file is larger. */
export const withJobs: InstallationOptions = { values: { transferJobs: { above: '1' } } };

const listSchema = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

export async function jobsOf({ world, account }: Installation): Promise<string[]> {
  const path = `/apis/batch/v1/namespaces/${account.namespace}/jobs`;
  const { items } = (await world.stack.kubernetes.request('GET', path)).as(listSchema);
  return items.map(({ metadata }) => metadata.name);
}

/** Declares an image from a file. */
export async function declareFile(installation: Installation, name: string): Promise<void> {
  const body = raw(2 ** 20);
  const url = installation.world.source.add(`/${installation.name}-${name}.raw`, { body });
  await installation.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
}

const worksInItsThread = (verb: string, resource: string): Case => ({
  symptom: 'says that the right for Jobs is missing, and transfers in its thread',
  options: withJobs,
  async show(installation) {
    const operator = await installation.start();
    await declareFile(installation, 'in-thread');
    await installation.world.ready('in-thread');
    const says = (line: string) =>
      line.includes(`"missing":"${verb} ${resource}"`) && line.includes('no rights for Jobs');
    assert(operator.log.some(says), operator.log.join('\n'));
    assert.deepEqual(await jobsOf(installation), []);
  },
});

async function startJob(installation: Installation): Promise<void> {
  await installation.start();
  await declareFile(installation, 'in-job');
  await eventually(
    async () => (await jobsOf(installation)).length > 0,
    () => `there is no Job:\n${installation.operator.log.slice(-20).join('\n')}`,
  );
}

export const jobCases: Record<Permission, Case> = {
  ...Object.fromEntries(
    [
      ...['create', 'delete', 'get', 'list', 'watch'].map((verb) => [verb, 'batch', 'jobs'] as const),
      ...['list', 'watch'].map((verb) => [verb, '', 'pods'] as const),
      ['create', '', 'secrets'] as const,
    ].map(([verb, group, resource]) => [
      `${verb} ${group === '' ? '' : `${group}/`}${resource}`,
      worksInItsThread(verb, resource),
    ]),
  ),
  'get configmaps': {
    symptom: 'runs Jobs, and says that it cannot read their progress',
    options: withJobs,
    async show(installation) {
      await startJob(installation);
      await installation.untilForbidden('get', 'configmaps');
    },
  },
  'patch configmaps': {
    symptom: 'runs Jobs, and leaves the progress of those that are gone',
    options: withJobs,
    async show(installation) {
      const { world, account, name } = installation;
      const path = `/api/v1/namespaces/${account.namespace}/configmaps/${name}-transfer-progress`;
      const options = { contentType: 'application/merge-patch+json' };
      (await world.stack.kubernetes.request('PATCH', path, { data: { 'transfer-gone': '{}' } }, options)).ok();
      await startJob(installation);
      await installation.untilForbidden('patch', 'configmaps');
    },
  },
};
