/** What a running operator says at its HTTP port. */
import { z } from 'zod';
import type { World } from './world.ts';

export interface Family {
  type: string;
  help: string;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

const serving = z.object({
  msg: z.enum(['Serving probes and metrics', 'Serving probes']),
  host: z.string(),
  port: z.number(),
});

export async function ask(
  { operator }: Pick<World, 'operator'>,
  path: string,
): Promise<{ status: number; text: string }> {
  const lines = operator.log.filter((line) => line.includes('Serving probes'));
  const { host, port } = serving.parse(JSON.parse(lines.at(-1) ?? '{}'));
  const answer = await fetch(`http://${host}:${port}${path}`);
  return { status: answer.status, text: await answer.text() };
}

export async function scrape(world: World): Promise<Map<string, Family>> {
  const { text } = await ask(world, '/metrics');
  return familiesIn(text);
}

/** Reads the text format of Prometheus. The keys are the names of the metrics. */
export function familiesIn(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  let current: Family | undefined;
  for (const line of text.split('\n')) {
    const [, word, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (word === 'HELP') {
      current = { type: '', help: rest, samples: [] };
      families.set(name, current);
    } else if (word === 'TYPE' && current !== undefined) current.type = rest;
    const [, sample, inside = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (sample === undefined) continue;
    const labels = [...inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', of = '']) => [label, of]);
    current?.samples.push({ name: sample, labels: Object.fromEntries(labels), value: Number(value) });
  }
  return families;
}

/** The value of the sample with these labels, and perhaps others. */
export function sampleOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const samples = [...families.values()].flatMap((family) => family.samples);
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}
