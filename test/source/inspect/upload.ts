/**
 * The inspection compared with the real Glance: an upload of an accepted image becomes active, with the size from the
 * inspection.
 */
import assert from 'node:assert/strict';
import type { Project } from '../../env/project.ts';
import { type Case, outcome } from './cases.ts';
import { judge } from './inspect.ts';

/** Glance has no such formats unless it is configured to. */
const unknownToGlance = ['gpt', 'luks', 'qed'];

export interface Pair {
  entry: Case;
  label: string;
}

/** Under its own label, as raw, and, if it is no known format, as one of those that have no signature. */
export function pairsOf(entry: Case): Pair[] {
  const labels = new Set([entry.label, 'raw', ...(entry.plain ? ['ploop'] : [])]);
  return [...labels].filter((label) => !unknownToGlance.includes(label)).map((label) => ({ entry, label }));
}

/** Uploads all of them, four at a time. */
export async function compareAll(project: Project, pairs: readonly Pair[]): Promise<void> {
  const left = [...pairs];
  const lane = async () => {
    for (let pair = left.shift(); pair !== undefined; pair = left.shift()) await compare(project, pair);
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

async function compare(project: Project, { entry, label }: Pair): Promise<void> {
  const what = `${entry.label}, ${entry.name}, as ${label}`;
  const { status, virtualSize } = await upload(project, entry.image, label);
  assert.ok(status === 204 || status === 415, `${what}: ${status}`);
  if (outcome(entry, label) === 'ok') {
    assert.equal(status, 204, what);
    const ours = judge([entry.image], { diskFormat: label });
    if (!entry.unsized) assert.equal(ours.kind === 'accepted' ? ours.virtualSize : 'refused', virtualSize, what);
  } else if (entry.why === undefined && label === entry.label) {
    assert.equal(status, 415, what);
  }
}

async function upload(project: Project, image: Buffer, label: string) {
  const { id } = await project.createImage({ disk_format: label });
  const { status } = await project.image('PUT', `/v2/images/${id}/file`, image);
  const record = await project.getImage(id);
  assert.equal(record.status, status === 204 ? 'active' : 'queued');
  (await project.image('DELETE', `/v2/images/${id}`)).ok();
  return { status, virtualSize: record.virtual_size ?? undefined };
}
