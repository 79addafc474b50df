/**
 * How the time of a function grows with its input. It compares two times of the processor, so that a slow or busy machine changes
 * both alike.
 */

/** Below it a measurement is noise, and the function is fast for any input that it gets. */
const leastMicros = 2_000;

/** Time for an input of four times the size, divided by four times the time: about 1 if it is linear, about 4 if it is quadratic. */
export function growthOf(run: (size: number) => void, size: number): number {
  run(size);
  const [small, large] = [micros(run, size), micros(run, 4 * size)];
  return large < leastMicros ? 1 : large / (4 * Math.max(small, 1));
}

/**
 * The least of several, because others may take the processor, or the collector of garbage. Time of the system is counted too: the system
 * knows the sum, and estimates the parts.
 */
function micros(run: (size: number) => void, size: number): number {
  const times = Array.from({ length: 5 }, () => {
    const start = process.cpuUsage();
    run(size);
    const { user, system } = process.cpuUsage(start);
    return user + system;
  });
  return Math.min(...times);
}
