/**
 * The whole test environment: a Kubernetes control plane, PostgreSQL, Keystone and Glance, on ports and in a directory of its
 * own.
 *
 * Guarantees: concurrent stacks do not interfere, and none outlives its owner.
 *
 *     const stack = await connectStack();          // that of `npm test`, or a new one
 *     const project = await stack.openstack.createProject();
 *     const namespace = await stack.kubernetes.createNamespace();
 *     …
 *     await stack.stop();                          // stops a new one
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { chown, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { startControlPlane } from './control-plane.ts';
import { configureGlance, startGlance } from './glance.ts';
import { configureKeystone, startKeystone } from './keystone.ts';
import { type Kubernetes, kubernetesOf, kubernetesSchema } from './kubernetes.ts';
import { type Openstack, openstackOf, openstackSchema } from './openstack.ts';
import { folders } from './parts.mjs';
import { claimPorts } from './ports.ts';
import { sql, startPostgres } from './postgres.ts';
import { createProcesses, type Processes, unprivileged } from './processes.ts';
import { store } from './releases.mjs';
import { startS3 } from './s3.ts';
import { copyTemplate } from './template.ts';

/** A running stack as in its JSON file; enough for another process to use it. */
const descriptionSchema = z.object({
  directory: z.string(),
  kubernetes: kubernetesSchema,
  openstack: openstackSchema,
  sourcePorts: z.array(z.number()),
});
type Description = z.infer<typeof descriptionSchema>;

export interface Stack {
  /** The stack's own directory, with `logs/` and `stack.json`. */
  readonly directory: string;
  /** The JSON file by which other processes attach, named to them in GLANCE_IMAGE_OPERATOR_STACK. */
  readonly file: string;
  readonly kubernetes: Kubernetes;
  readonly openstack: Openstack;
  /** Ports from which Glance's web-download may fetch; `startSource` takes the first that is free. */
  readonly sourcePorts: readonly number[];
  /** Ends the servers of a stack that this process started; leaves one that it attached to alone. */
  stop(): Promise<void>;
}

/** The environment variable that names a running stack's file. */
export const stackVariable = 'GLANCE_IMAGE_OPERATOR_STACK';

/** Attaches to the stack that GLANCE_IMAGE_OPERATOR_STACK names, or starts one. */
export async function connectStack(): Promise<Stack> {
  const file = process.env[stackVariable];
  if (file === undefined) return startStack();
  return stackOf(descriptionSchema.parse(JSON.parse(await readFile(file, 'utf8'))), async () => {});
}

export interface StackOptions {
  /**
   * Whether projects have quotas (Keystone's unified limits). Default true. Benchmarks turn them off: Glance reads them
   * from Keystone nine times for each upload, at ten times the cost of the upload itself.
   */
  quotas?: boolean;
}

/** Starts a stack. `node test/env/setup.mjs` must have been run before. */
export async function startStack({ quotas = true }: StackOptions = {}): Promise<Stack> {
  if (!existsSync(folders.template)) throw new Error('the test environment is not set up: run node test/env/setup.mjs');
  const block = await claimPorts();
  const processes = createProcesses();
  const stop = async () => {
    await processes.stop();
    await block.release();
  };
  try {
    const description = await startServers(processes, block.ports, quotas);
    const stack = stackOf(description, stop);
    writeFileSync(stack.file, JSON.stringify(description), { mode: 0o600 });
    return stack;
  } catch (error) {
    processes.keepLogs();
    await stop();
    throw error;
  }
}

async function startServers(processes: Processes, ports: readonly number[], quotas: boolean): Promise<Description> {
  const [etcd = 0, etcdPeer = 0, api = 0, postgres = 0, keystone = 0, glance = 0, s3 = 0, ...sourcePorts] = ports;
  const [plane, openstack] = await Promise.all([
    startControlPlane(processes, [etcd, etcdPeer, api]),
    startCloud(processes, { postgres, keystone, glance, s3, sourcePorts, quotas }),
  ]);
  return { directory: processes.directory, kubernetes: plane, openstack, sourcePorts };
}

interface CloudOptions {
  postgres: number;
  keystone: number;
  glance: number;
  s3: number;
  sourcePorts: readonly number[];
  quotas: boolean;
}

async function startCloud(processes: Processes, ports: CloudOptions): Promise<Description['openstack']> {
  const at = (name: string) => join(processes.directory, name);
  // PostgreSQL's user must be able to write files next to its data.
  mkdirSync(at('cloud'));
  const identity = await unprivileged();
  if (identity) await chown(at('cloud'), identity.uid, identity.gid);
  const cloud = await copyTemplate(at('cloud'));
  const authUrl = `http://127.0.0.1:${ports.keystone}/v3`;
  const imageUrl = `http://127.0.0.1:${ports.glance}`;

  if (store === 's3') await startS3(processes, ports.s3);
  await startPostgres(processes, at('cloud/postgres'), ports.postgres);
  const moveTo = (type: string, url: string) =>
    `UPDATE endpoint SET url = '${url}' WHERE service_id IN (SELECT id FROM service WHERE type = '${type}')`;
  await sql(ports.postgres, 'keystone', [moveTo('identity', authUrl), moveTo('image', imageUrl)]);
  const keystoneConf = await configureKeystone(
    {
      directory: at('keystone-conf'),
      fernetKeys: at('cloud/keystone/fernet-keys'),
      credentialKeys: at('cloud/keystone/credential-keys'),
    },
    ports.postgres,
  );
  const glanceConf = await configureGlance({
    directory: at('glance'),
    postgresPort: ports.postgres,
    keystonePort: ports.keystone,
    endpointId: cloud.imageEndpointId,
    sourcePorts: ports.sourcePorts,
    s3Port: store === 's3' ? ports.s3 : undefined,
    quotas: ports.quotas,
  });
  await Promise.all([
    startKeystone(processes, keystoneConf, ports.keystone),
    startGlance(processes, glanceConf, ports.glance),
  ]);
  return { authUrl, imageUrl, cloud };
}

function stackOf(description: Description, stop: () => Promise<void>): Stack {
  const { directory, sourcePorts } = description;
  return {
    directory,
    file: join(directory, 'stack.json'),
    kubernetes: kubernetesOf(directory, description.kubernetes),
    openstack: openstackOf(description.openstack),
    sourcePorts,
    stop,
  };
}
