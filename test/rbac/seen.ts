/** What others see of an operator: its probes and its events. */
import { z } from 'zod';
import type { Operator } from '../operator/operator.ts';
import type { Installation } from './installation.ts';

const servingSchema = z.object({ host: z.string(), port: z.number() });

/** The body of /readyz; throws where it is green. */
export async function readiness(operator: Operator): Promise<string> {
  const line = operator.log.find((each) => each.includes('Serving probes and metrics')) ?? '{}';
  const { host, port } = servingSchema.parse(JSON.parse(line));
  const answer = await fetch(`http://${host}:${port}/readyz`);
  if (answer.ok) throw new Error('it is ready');
  return answer.text();
}

const eventsSchema = z.object({
  items: z.array(
    z.object({
      reason: z.string(),
      regarding: z.object({ name: z.string() }),
      series: z.object({ count: z.number() }).optional(),
    }),
  ),
});

/** The events about one resource. */
export async function eventsOf({ world }: Installation, name: string): Promise<{ reason: string; count: number }[]> {
  const path = `/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`;
  const { items } = (await world.stack.kubernetes.request('GET', path)).as(eventsSchema);
  const about = items.filter(({ regarding }) => regarding.name === name);
  return about.map(({ reason, series }) => ({ reason, count: series?.count ?? 1 }));
}
