/**
 * A cloud, a source and an executor for transfers on real servers. The tests of a file share it. Each has files and images of its
 * own, and everything is closed after the tests.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { createEgressPolicy } from '../../src/http/egress.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Runner, TransferAccess } from '../../src/transfer/executor.ts';
import { createInlineExecutor } from '../../src/transfer/inline.ts';
import type { TransferPlan, TransferProgress, TransferResult } from '../../src/transfer/plan.ts';
import type { ImageRecord, Project } from '../env/project.ts';
import { type FaultProxy, startProxy } from '../env/proxy.ts';
import { type Source, startSource } from '../env/source.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { patience } from '../env/wait.ts';
import { type PlanOptions, planOf } from './plans.ts';

const loopback = { allow: ['127.0.0.0/8'], deny: [] };
export const egress = { sources: loopback, clouds: loopback };

export interface Scene extends AsyncDisposable {
  stack: Stack;
  project: Project;
  source: Source;
  /** In front of Glance. */
  glance: FaultProxy;
  access: TransferAccess;
  /** In this thread. */
  executor: Runner;
  /** A path that no other test has. */
  path(): string;
  /** A new queued image and the plan to fill it. */
  plan(options: PlanOptions, fields?: Record<string, unknown>): Promise<TransferPlan>;
  run(plan: TransferPlan, options?: RunOptions): Promise<TransferResult>;
  /** Resolves with the image as soon as its status is none of a transfer under way. */
  settled(plan: TransferPlan): Promise<ImageRecord>;
  /** How often Glance was given data for the image. */
  puts(plan: TransferPlan): number;
}

export interface RunOptions {
  signal?: AbortSignal;
  onProgress?: (progress: TransferProgress) => void;
  executor?: Runner;
}

/**
 * The scene of the tests of a file or a describe: made before them and closed after them. What a file prepares in it is prepared by
 * `prepare`, because the hooks of a file do not wait for each other.
 */
export function useScene(prepare?: (scene: Scene) => Promise<void>): () => Scene {
  let scene: Scene | undefined;
  before(async () => {
    scene = await createScene(await connectStack());
    await prepare?.(scene);
  });
  after(async () => scene?.[Symbol.asyncDispose]());
  return () => scene ?? assert.fail('the scene exists only while tests run');
}

async function createScene(stack: Stack): Promise<Scene> {
  const project = await stack.openstack.createProject('transfer');
  const source = await startSource();
  const glance = await startProxy({ url: stack.openstack.imageUrl });
  const executor = createInlineExecutor({
    egress: { sources: createEgressPolicy(loopback), clouds: createEgressPolicy(loopback) },
    clock: systemClock,
    random: Math.random,
  });
  const access = { cloud: { cloudsYaml: await project.cloudsYaml({ imageUrl: glance.url }) }, source: {} };
  let paths = 0;
  return {
    stack,
    path: () => `/image-${++paths}.raw`,
    project,
    source,
    glance,
    access,
    executor,
    async plan(options, fields = {}) {
      const { id } = await project.createImage({ disk_format: options.diskFormat ?? 'raw', ...fields });
      return planOf({ imageID: id, ...options });
    },
    run(plan, { signal = patience(), onProgress = () => {}, executor: other = executor } = {}) {
      return other.run(plan, access, { signal, onProgress });
    },
    async settled({ imageID }) {
      for (;;) {
        const image = await project.getImage(imageID);
        if (!['saving', 'uploading', 'importing'].includes(image.status)) return image;
      }
    },
    puts: ({ imageID }) =>
      glance.requests.filter(({ method, path }) => method === 'PUT' && path.includes(`${imageID}/`)).length,
    async [Symbol.asyncDispose]() {
      await executor.close();
      await source.stop();
      await glance[Symbol.asyncDispose]();
      await stack.stop();
    },
  };
}
