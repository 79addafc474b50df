/** Constructors of metrics. Invariant: a metric is declared by name, help and labels only, in one registry. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface Meters {
  counter<L extends string>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  /** `collect` is called at each scrape. */
  gauge<L extends string>(
    name: string,
    help: string,
    labels?: readonly L[],
    collect?: (gauge: Gauge<L>) => void,
  ): Gauge<L>;
  histogram<L extends string>(name: string, help: string, labels: readonly L[], buckets: number[]): Histogram<L>;
}

export function createMeters(registry: Registry): Meters {
  const registers = [registry];
  return {
    counter: (name, help, labelNames = []) => new Counter({ name, help, labelNames, registers }),
    gauge(name, help, labelNames = [], collect) {
      const gauge: Gauge = new Gauge({ name, help, labelNames, registers, collect: () => collect?.(gauge) });
      return gauge;
    },
    histogram: (name, help, labelNames, buckets) => new Histogram({ name, help, labelNames, buckets, registers }),
  };
}
