/** The Jobs of transfers by their state, counted at each scrape. Invariant: a Job has no series of its own. */
import type { Meters } from '../../controller/meters.ts';

/** Those of `JobState` in src/jobs, which this folder may not import. The compiler compares both in commands/jobs.ts. */
const kinds = ['suspended', 'waiting', 'running', 'ended', 'lost'] as const;
type Kind = (typeof kinds)[number];

export interface JobMetrics {
  /** `states` returns those of all Jobs at each scrape. Without it there are none. */
  follow(states: () => readonly Kind[]): void;
}

export function createJobMetrics({ gauge }: Meters): JobMetrics {
  let states: () => readonly Kind[] = () => [];
  gauge('glance_image_operator_transfer_jobs', 'Jobs of transfers by their state', ['state'], (each) => {
    for (const state of kinds) each.set({ state }, 0);
    for (const state of states()) each.inc({ state });
  });
  return {
    follow(given) {
      states = given;
    },
  };
}
