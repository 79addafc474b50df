/**
 * Flux's own kustomize-controller, and the artifacts that it applies.
 *
 * Invariant: the controller is the real one; only the source is simulated, by an ExternalArtifact, which Flux has for
 * third-party sources.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { z } from 'zod';
import { folders } from '../env/parts.mjs';
import { eventually } from '../env/wait.ts';
import type { World } from '../operator/world.ts';

const source = 'source.toolkit.fluxcd.io/v1';
const kustomize = 'kustomize.toolkit.fluxcd.io/v1';
const condition = z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string() });
const kustomizationSchema = z.object({
  status: z
    .object({ conditions: z.array(condition).default([]), lastAppliedRevision: z.string().optional() })
    .prefault({}),
});
export type KustomizationStatus = z.infer<typeof kustomizationSchema>['status'];

export function readyOf({ conditions }: KustomizationStatus): z.infer<typeof condition> | undefined {
  return conditions.find(({ type }) => type === 'Ready');
}

export class Flux implements AsyncDisposable {
  /** The user of the API server that only this controller is. */
  readonly user: string;
  readonly log: string[] = [];
  readonly #world: World;
  readonly #files = new Map<string, Buffer>();
  readonly #server = createServer((request, response) => {
    const file = this.#files.get(request.url ?? '');
    response.writeHead(file === undefined ? 404 : 200).end(file);
  });
  readonly #controller: ReturnType<typeof spawn>;
  readonly #ended: Promise<unknown>;
  #port = 0;

  /** In the namespace of the world. The directory of the build must be there: `node test/env/setup.mjs --campaign`. */
  static async start(world: World): Promise<Flux> {
    await world.stack.kubernetes.apply(join(folders.flux, 'crds'));
    const flux = new Flux(world, await world.stack.kubernetes.claimUser());
    flux.#server.listen(0, '127.0.0.1');
    await once(flux.#server, 'listening');
    const address = flux.#server.address();
    if (address !== null && typeof address === 'object') flux.#port = address.port;
    return flux;
  }

  private constructor(world: World, user: string) {
    this.#world = world;
    this.user = user;
    const args = [
      ...['--feature-gates=ExternalArtifact=true', '--enable-leader-election=false'],
      ...['--events-addr=', '--metrics-addr=127.0.0.1:0', '--health-addr=127.0.0.1:0'],
      ...['--interval-jitter-percentage=0', '--min-retry-delay=500ms', '--max-retry-delay=2s'],
      '--watch-all-namespaces=false',
    ];
    const env = { KUBECONFIG: world.stack.kubernetes.kubeconfig(user), RUNTIME_NAMESPACE: world.namespace };
    this.#controller = spawn(join(folders.flux, 'kustomize-controller'), args, { env });
    for (const stream of [this.#controller.stdout, this.#controller.stderr])
      stream?.on('data', (chunk: Buffer) => this.log.push(chunk.toString()));
    this.#ended = once(this.#controller, 'exit');
  }

  /** Makes `files` the source `name`, as a commit makes them a revision; resolves with the revision. */
  async publish(name: string, files: Readonly<Record<string, unknown>>): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'artifact-'));
    try {
      for (const [file, object] of Object.entries(files)) await writeFile(join(folder, file), stringify(object));
      await promisify(execFile)('tar', ['-czf', 'artifact.tgz', ...(await readdir(folder))], { cwd: folder });
      return await this.#serve(name, await readFile(join(folder, 'artifact.tgz')));
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  async #serve(name: string, tarball: Buffer): Promise<string> {
    const { namespace, stack } = this.#world;
    const digest = `sha256:${createHash('sha256').update(tarball).digest('hex')}`;
    const revision = `main@${digest}`;
    const path = `${name}/${digest.slice(7, 19)}.tgz`;
    this.#files.set(`/${path}`, tarball);
    const metadata = { name, namespace };
    await stack.kubernetes.apply(stringify({ apiVersion: source, kind: 'ExternalArtifact', metadata, spec: {} }));
    const now = new Date().toISOString();
    const ready = { type: 'Ready', status: 'True', reason: 'Succeeded', message: revision, lastTransitionTime: now };
    const url = `http://127.0.0.1:${this.#port}/${path}`;
    const artifact = { url, path, revision, digest, size: tarball.length, lastUpdateTime: now };
    const patch = { status: { artifact, conditions: [ready] } };
    const at = `/apis/${source}/namespaces/${namespace}/externalartifacts/${name}/status`;
    (await stack.kubernetes.request('PATCH', at, patch, { contentType: 'application/merge-patch+json' })).ok();
    return revision;
  }

  /** A Kustomization that applies the source of its own name. */
  async kustomization(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    const metadata = { name, namespace: this.#world.namespace };
    const sourceRef = { kind: 'ExternalArtifact', name };
    const whole = { interval: '1h', prune: true, path: './', sourceRef, ...spec };
    await this.#world.stack.kubernetes.apply(
      stringify({ apiVersion: kustomize, kind: 'Kustomization', metadata, spec: whole }),
    );
  }

  async get(name: string): Promise<KustomizationStatus> {
    return (await this.#world.stack.kubernetes.request('GET', this.#path(name))).as(kustomizationSchema).status;
  }

  async delete(name: string): Promise<void> {
    (await this.#world.stack.kubernetes.request('DELETE', this.#path(name))).ok();
  }

  /** Resolves once it is there no more. */
  async gone(name: string): Promise<void> {
    await eventually(
      async () => (await this.#world.stack.kubernetes.request('GET', this.#path(name))).status === 404,
      () => `${name} is still there:\n${this.log.slice(-20).join('')}`,
    );
  }

  /** Resolves with the status as soon as it is as wanted. */
  async until(name: string, what: string, wanted: (status: KustomizationStatus) => boolean) {
    let status: KustomizationStatus | undefined;
    const missing = () => `${name} is not ${what}: ${JSON.stringify(status, null, 2)}\n${this.log.slice(-20).join('')}`;
    return eventually(async () => {
      status = await this.get(name);
      if (this.#controller.exitCode !== null) throw new Error(missing());
      return wanted(status) && status;
    }, missing);
  }

  /** Resolves once this revision is applied and found healthy. */
  ready(name: string, revision: string): Promise<KustomizationStatus> {
    const wanted = (status: KustomizationStatus) =>
      readyOf(status)?.status === 'True' && status.lastAppliedRevision === revision;
    return this.until(name, `Ready at ${revision}`, wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.kill('SIGKILL');
    await this.#ended;
    this.#server.close();
  }

  #path(name: string): string {
    return `/apis/${kustomize}/namespaces/${this.#world.namespace}/kustomizations/${name}`;
  }
}
