/** What a process has cost, and how several rounds of it are written. */
import { readFileSync } from 'node:fs';

export interface Figures {
  seconds: number;
  cpuSeconds: number;
  peakRssMiB: number;
  /** Of the main thread. */
  loopDelayP99Ms: number;
}

/** User and system time so far. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Of the program alone. (What the system's own call says begins with the size of the process that started it.) */
export function peakRssMiB(pid: number | 'self'): number {
  const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** The median, the lowest and the highest. */
export function spread(values: readonly number[]): string {
  return `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`;
}
