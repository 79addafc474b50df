/** The processors of this machine, also where a container may use only a part of them. */
import { cpus } from 'node:os';

/** For how long they have had nothing to do, in milliseconds, all of them together. It only rises, in steps of about 10 ms. */
export function idleMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.idle, 0);
}
