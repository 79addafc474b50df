/** The purpose of each permission for Jobs, shown by an operator without it. No kubelet runs their pods, so Jobs stay active. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { createJobRights } from '../../src/jobs/rights.ts';
import { createApiTransport } from '../../src/kubernetes/transport.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createLogger } from '../../src/lib/log.ts';
import { raw } from '../env/images.ts';
import { eventually, patience } from '../env/wait.ts';
import { digestOf } from '../operator/digest.ts';
import type { Case } from './cases.ts';
import type { Permission } from './chart.ts';
import type { Installation, InstallationOptions } from './installation.ts';
import { kubeconfigOf } from './service-account.ts';

/** Every file is larger. */
export const withJobs: InstallationOptions = { values: { transferJobs: { above: '1' } } };

const listSchema = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

export async function jobsOf({ world, account }: Installation): Promise<string[]> {
  const path = `/apis/batch/v1/namespaces/${account.namespace}/jobs`;
  const { items } = (await world.stack.kubernetes.request('GET', path)).as(listSchema);
  return items.map(({ metadata }) => metadata.name);
}

/** Declares an image from a file. Resolves with the name of its resource: installations share a namespace. */
export async function declareFile(installation: Installation): Promise<string> {
  const body = raw(2 ** 20);
  const name = `of-${installation.name}`;
  const url = installation.world.source.add(`/${name}.raw`, { body });
  await installation.apply(name, { image: { diskFormat: 'raw' }, content: { http: { url, digest: digestOf(body) } } });
  return name;
}

const creating: Case = {
  symptom: 'says that the right is missing, and transfers in its thread',
  options: withJobs,
  async show(installation) {
    const operator = await installation.start();
    await installation.world.ready(await declareFile(installation));
    const says = (line: string) => line.includes('"missing":"create jobs"') && line.includes('no rights for Jobs');
    await eventually(
      () => operator.log.some(says),
      () => operator.log.join('\n'),
    );
    assert.deepEqual(await jobsOf(installation), []);
  },
};

/** Its check of the rights is enough: the first case shows what the operator then does. */
const missing = (verb: string, resource: string): Case => ({
  symptom: 'finds that the right is missing, as without permission to create them',
  options: withJobs,
  async show({ world, account }) {
    const kubeconfig = await kubeconfigOf(world.stack.kubernetes, account);
    const clock = systemClock;
    const transport = createApiTransport({ kubeconfig, version: 'test', clock, random: Math.random });
    try {
      const lines: string[] = [];
      const log = createLogger('info', { write: (line: string) => void lines.push(line) });
      const rights = createJobRights({
        transport,
        namespace: account.namespace,
        whenLeading: async () => {},
        clock,
        log,
      });
      assert.equal(await rights.whenKnown(patience()), false);
      assert.match(lines.join(''), new RegExp(`"missing":"${verb} ${resource}"`));
    } finally {
      await transport.close();
    }
  },
});

async function startJob(installation: Installation): Promise<void> {
  await installation.start();
  await declareFile(installation);
  await eventually(
    async () => (await jobsOf(installation)).length > 0,
    () => `there is no Job:\n${installation.operator.log.slice(-20).join('\n')}`,
  );
}

export const jobCases: Record<Permission, Case> = {
  'create batch/jobs': creating,
  ...Object.fromEntries(
    ['delete', 'get', 'list', 'watch'].map((verb) => [`${verb} batch/jobs`, missing(verb, 'jobs')]),
  ),
  'list pods': missing('list', 'pods'),
  'watch pods': missing('watch', 'pods'),
  'create secrets': missing('create', 'secrets'),
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
