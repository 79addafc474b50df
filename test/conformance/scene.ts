/**
 * Runs a case on one side: creates the given images, runs the operations, and reads the result from Glance.
 *
 * Invariant: each side runs the same case in its own project, and the same code reads both. Values that differ from run
 * to run (ids, times, request ids, addresses) are replaced by names.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/openstack/json.ts';
import type { Project } from '../env/project.ts';
import { startProxy } from '../env/proxy.ts';
import { patience } from '../env/wait.ts';
import type { Case } from './case.ts';
import type { Played } from './difference.ts';
import type { Given } from './operation.ts';
import type { Outcome, Side } from './side.ts';

export interface Scene {
  side: Side;
  project: Project;
  stranger: Project;
  /** Glance without a version. */
  glance: string;
  /** The images that belong to earlier cases. */
  seen: Set<string>;
}

type Names = Map<string, string>;
const recordSchema = z.object({ id: z.string() }).catchall(z.json());
const recordsSchema = z.object({ images: z.array(recordSchema) });

export async function play(scene: Scene, played: Case): Promise<Played> {
  await using proxy = played.faults === undefined ? undefined : await startProxy({ url: scene.glance });
  for (const fault of played.faults ?? []) proxy?.on(fault);
  const since = new Date().toISOString().replace(/\.\d+/, '');
  const names: Names = new Map([
    ['<project>', scene.project.id],
    ['<stranger>', scene.stranger.id],
    ['<new>', randomUUID()],
    ['<mark>', randomUUID()],
    ['<glance>', proxy?.url ?? scene.glance],
  ]);
  for (const [name, given] of Object.entries(played.given ?? {}))
    names.set(name, await make(scene, withIds(given, names)));
  const operations = withIds(played.operations, names);
  const outcomes = await scene.side.run(operations, {
    ...addressOf(played, proxy?.url, scene.glance),
    ...(played.retries === undefined ? {} : { retries: played.retries }),
    ...(played.remote ? { remote: `${scene.glance}/v2/images/${randomUUID()}` } : {}),
  });

  const records = (await recordsOf(scene.project, since, hides(played))).filter(({ id }) => !scene.seen.has(id));
  const known = new Set(names.values());
  for (const [index, { id }] of records.filter(({ id }) => !known.has(id)).entries()) {
    names.set(index === 0 ? '<new>' : `<new ${index + 1}>`, id);
  }
  for (const { id } of records) scene.seen.add(id);
  records.push(...(await foreignRecords(scene.stranger, played, names)));
  return {
    results: outcomes.map((outcome) => readable(outcome, names)),
    glance: Object.fromEntries(records.map((record) => [nameOf(record.id, names), stateIn(record, names)])),
  };
}

/** Empty for the usual address. */
function addressOf({ suffix = '' }: Case, proxy: string | undefined, usual: string): { glance?: string } {
  return proxy === undefined && suffix === '' ? {} : { glance: `${proxy ?? usual}${suffix}` };
}

async function make({ project, stranger }: Scene, given: Given): Promise<string> {
  const owner = given.owner === 'stranger' ? stranger : project;
  const data = given.data === undefined ? undefined : Buffer.from(given.data);
  const { id } = await owner.createImage(given.fields, given.is === 'imported' ? undefined : data);
  const ask = async (method: string, path: string, body?: unknown) =>
    (await owner.image(method, `/v2/images/${id}${path}`, body)).ok();
  for (const who of given.members ?? []) {
    await ask('POST', '/members', { member: who === 'stranger' ? stranger.id : project.id });
  }
  if (given.is === 'imported') {
    await ask('PUT', '/stage', data);
    await ask('POST', '/import', { method: { name: 'glance-direct' } });
    // Glance takes its lock off a moment after the image has become active.
    const signal = patience();
    while ('os_glance_import_task' in (await owner.getImage(id))) await sleep(20, undefined, { signal });
  }
  if (given.is === 'deactivated') await ask('POST', '/actions/deactivate');
  if (given.is === 'deleted') await ask('DELETE', '');
  return id;
}

/** All images that the project has got since then. Glance lists hidden ones only by themselves. */
async function recordsOf(project: Project, since: string, hidden: boolean) {
  const query = `owner=${project.id}&visibility=all&limit=1000&created_at=${encodeURIComponent(`gte:${since}`)}`;
  const lists = (hidden ? [false, true] : [false]).map(async (os_hidden) => {
    return (await project.image('GET', `/v2/images?${query}&os_hidden=${os_hidden}`)).as(recordsSchema).images;
  });
  return (await Promise.all(lists)).flat();
}

/** The images of the other project; they must be unchanged. */
async function foreignRecords(stranger: Project, { given = {} }: Case, names: Names) {
  const foreign = Object.entries(given).filter(([, { owner }]) => owner === 'stranger');
  return Promise.all(
    foreign.map(async ([name]) => {
      return (await stranger.image('GET', `/v2/images/${names.get(name)}`)).as(recordSchema);
    }),
  );
}

/** Whether an image of the case may be hidden in the end. */
function hides(played: Case): boolean {
  return JSON.stringify(played).includes('"os_hidden":true');
}

/** What Glance derives from the id and the hour says nothing about either service. */
const derived = new Set(['id', 'self', 'file', 'schema', 'created_at', 'updated_at']);

function stateIn(record: JsonObject, names: Names): JsonValue {
  return withNames(Object.fromEntries(Object.entries(record).filter(([key]) => !derived.has(key))), names);
}

function readable(outcome: Outcome, names: Names): Played['results'][number] {
  if ('returned' in outcome) return { value: withNames(outcome.returned, names) };
  return { error: outcome.code === null ? outcome.error : `${outcome.error} ${outcome.code}` };
}

function nameOf(id: string, names: Names): string {
  return [...names].find(([, known]) => known === id)?.[0] ?? id;
}

function withIds<T>(value: T, names: Names): T {
  return JSON.parse([...names].reduce((text, [name, id]) => text.replaceAll(name, id), JSON.stringify(value)));
}

/** Paths below Glance's address, which Glance derives from what they lead to. */
const paths = new Set(['file', 'schema']);

/** A value without what changes from run to run. Sets are in one order. */
function withNames(value: JsonValue, names: Names): JsonValue {
  if (typeof value === 'string') return textWithNames(value, names);
  if (Array.isArray(value)) return value.map((each) => withNames(each, names));
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).filter(([key]) => !paths.has(key));
  return Object.fromEntries(entries.map(([key, each]) => [key, withNames(inOrder(key, each), names)]));
}

function inOrder(key: string, value: JsonValue): JsonValue {
  return key === 'tags' && Array.isArray(value) ? [...value].sort() : value;
}

function textWithNames(text: string, names: Names): string {
  return [...names]
    .reduce((result, [name, id]) => result.replaceAll(id, name), text)
    .replace(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.000)?(?:Z|\+00:00)$/, '<time>')
    .replace(/^file:\/\/\/.*(\/(?:fast|slow)\/)/, 'file://$1');
}
