/**
 * The resource of a run of the interleaving campaign, as its user and other clients of Glance change it.
 *
 * Invariant: it knows what is declared, in each generation, and what others did to its images.
 */
import assert from 'node:assert/strict';
import { findCondition } from '../../src/api/conditions.ts';
import { type GlanceImage, glanceImageSchema } from '../../src/api/glanceimage.ts';
import { apiVersion, kind, plural, reconcileAtAnnotation } from '../../src/api/group.ts';
import { clusterProperty, contentProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { raw } from '../env/images.ts';
import type { ImageRecord, Project } from '../env/project.ts';
import type { Source } from '../env/source.ts';
import { digestOf } from './digest.ts';
import type { Declared, ForeignEdit } from './interleaving-script.ts';
import type { World } from './world.ts';

const imageBytes = 64 * 1024;
export const bodies = [0, 1, 2, 3].map((seed) => raw(imageBytes, `interleaving ${seed}`));
export const foreignBody = raw(imageBytes, 'another client');

export function serveBodies(source: Source): void {
  for (const [at, body] of bodies.entries()) for (const url of bodies.keys()) source.add(pathOf(at, url), { body });
}

function pathOf(body: number, url: number): string {
  return `/body-${body}-${url}.raw`;
}

export class Subject {
  readonly name: string;
  readonly world: World;
  /** A project of other people. */
  readonly others: Project;
  readonly squatted: { project: Project; record: ImageRecord }[] = [];
  /** Images that another client has deleted. */
  readonly deleted = new Set<string>();
  declared: Declared;
  /** The image that was Ready when the status was lost, and has to be found again. */
  found: string | undefined;
  /** By uid and generation. */
  readonly #declarations = new Map<string, Declared>();
  #nudges = 0;
  #isUnmarked = false;

  constructor(name: string, world: World, others: Project, declared: Declared) {
    this.name = name;
    this.world = world;
    this.others = others;
    this.declared = declared;
  }

  get(): Promise<GlanceImage | undefined> {
    return this.world.get(this.name);
  }

  /** What the generation declares that the status speaks of. */
  declaredIn({ metadata, status }: GlanceImage): Declared | undefined {
    return this.#declarations.get(`${metadata.uid} ${status.observedGeneration}`);
  }

  async edit(change: Partial<Declared>): Promise<void> {
    this.declared = { ...this.declared, ...change };
    if (!(await this.#apply())) throw new Error('the declaration was rejected');
  }

  /** Another revision is made, or a retired one that has the data is promoted. */
  async editContent(change: Partial<Declared>): Promise<void> {
    this.found = undefined;
    await this.edit(change);
  }

  async delete(): Promise<void> {
    this.found = undefined;
    await this.world.stack.kubernetes.request('DELETE', this.#path);
  }

  async nudge(): Promise<string> {
    const at = String(++this.#nudges);
    const contentType = 'application/merge-patch+json';
    const patch = { metadata: { annotations: { [reconcileAtAnnotation]: at } } };
    await this.world.stack.kubernetes.request('PATCH', this.#path, patch, { contentType });
    return at;
  }

  async loseStatus(what: 'status' | 'operation'): Promise<void> {
    const resource = await this.get();
    const imageID = resource?.status.imageID;
    const isSound = resource !== undefined && claimsReady(resource) && isCurrent(resource);
    if (isSound && imageID !== undefined && !this.#isUnmarked && !this.deleted.has(imageID)) this.found ??= imageID;
    await this.#remove(what === 'status' ? '/status' : '/status/operation');
  }

  async uploadElsewhere(): Promise<void> {
    for (const { id, status } of await this.marked())
      if (status === 'queued') await this.world.project.image('PUT', `/v2/images/${id}/file`, foreignBody);
  }

  async editElsewhere(what: ForeignEdit): Promise<void> {
    const image = await this.#newest();
    if (image === undefined) return;
    if (what === 'marks') {
      this.#isUnmarked = true;
      this.found = undefined;
    }
    const marks = [ownerProperty, clusterProperty, contentProperty].filter((key) => image[key] !== undefined);
    const operations = {
      name: [{ op: 'replace', path: '/name', value: 'renamed' }],
      hidden: [{ op: 'replace', path: '/os_hidden', value: !image.os_hidden }],
      property: [{ op: 'add', path: '/foreign', value: 'x' }],
      marks: marks.map((key) => ({ op: 'remove', path: `/${key}` })),
    };
    await this.world.project.image('PATCH', `/v2/images/${image.id}`, operations[what]);
  }

  async deleteElsewhere(): Promise<void> {
    const image = await this.#newest();
    if (image === undefined) return;
    this.deleted.add(image.id);
    this.found = undefined;
    const path = `/v2/images/${image.id}`;
    await this.world.project.image('PATCH', path, [{ op: 'replace', path: '/protected', value: false }]);
    await this.world.project.image('DELETE', path);
  }

  /** Gives the next ID to an image of another client, unless the operator has used it. */
  async squat(whose: 'same' | 'other'): Promise<void> {
    const resource = await this.get();
    if (resource === undefined) return;
    const project = whose === 'same' ? this.world.project : this.others;
    const id = imageIDOf(resource.metadata.uid, Number(resource.status.operation?.['next'] ?? 0));
    const fields = { id, name: imageNameOf(this.name, this.declared), disk_format: 'raw', container_format: 'bare' };
    if ((await project.image('POST', '/v2/images', fields)).status !== 201) return;
    (await project.image('PUT', `/v2/images/${id}/file`, foreignBody)).ok();
    this.squatted.push({ project, record: await project.getImage(id) });
  }

  /** All images with a mark of this name. */
  async marked(): Promise<ImageRecord[]> {
    const prefix = `${this.world.namespace}/${this.name}/`;
    return (await this.world.images()).filter((image) => String(image[ownerProperty]).startsWith(prefix));
  }

  async #newest(): Promise<ImageRecord | undefined> {
    return (await this.marked()).sort((a, b) => (a.created_at < b.created_at ? -1 : 1)).at(-1);
  }

  get #path(): string {
    return `/apis/${apiVersion}/namespaces/${this.world.namespace}/${plural}/${this.name}`;
  }

  /** False: the API server does not admit it. */
  async #apply(): Promise<boolean> {
    const { declared } = this;
    const manifest = { apiVersion, kind, metadata: { name: this.name }, spec: this.#spec() };
    const answer = await this.world.stack.kubernetes.request(
      'PATCH',
      `${this.#path}?fieldManager=user&force=true`,
      manifest,
      { contentType: 'application/apply-patch+yaml' },
    );
    if (answer.status === 422) return false;
    const { metadata } = answer.as(glanceImageSchema);
    this.#declarations.set(`${metadata.uid} ${metadata.generation}`, declared);
    return true;
  }

  #spec() {
    const { body, algorithm, diskFormat, url, tags, properties, visibility, hidden, suspend } = this.declared;
    const bytes = bodies[body] ?? assert.fail();
    return {
      cloud: { secretRef: { name: this.name }, name: 'demo' },
      interval: '10s',
      suspend,
      image: {
        name: imageNameOf(this.name, this.declared),
        diskFormat,
        visibility,
        protected: this.declared.protected,
        hidden,
        tags: [`tag-${tags}`],
        properties: { n: String(properties), [`only_${properties}`]: 'x' },
      },
      content: { http: { url: `${this.world.source.url}${pathOf(body, url)}`, digest: digestOf(bytes, algorithm) } },
    };
  }

  async #remove(path: string): Promise<void> {
    const contentType = 'application/json-patch+json';
    const patch = [{ op: 'remove', path }];
    await this.world.stack.kubernetes.request('PATCH', `${this.#path}/status`, patch, { contentType });
  }
}

export function imageNameOf(name: string, declared: Declared): string {
  return `${name}-${declared.name}`;
}

export function claimsReady({ status }: GlanceImage): boolean {
  return findCondition(status.conditions, 'Ready')?.status === 'True';
}

/** Whether the status speaks of the present declaration, and of the last request to compare. */
export function isCurrent({ metadata, status }: GlanceImage): boolean {
  const requested = metadata.annotations[reconcileAtAnnotation];
  return status.observedGeneration === metadata.generation && status.lastHandledReconcileAt === requested;
}
