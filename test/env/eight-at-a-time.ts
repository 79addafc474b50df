/** Requests of a test to the servers of the stack. More of them at once wait for each other in the servers, all of them for minutes. */
const most = 8;

export async function eightAtATime<T>(items: Iterable<T>, work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async () => {
    for (let next = left.next(); next.done !== true; next = left.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: most }, worker));
}
