/**
 * Labels of the current asynchronous work, carried along with the calls that it makes. Invariant: they only label log lines
 * and request ids. Nothing decides by them, so no signature has to pass them on.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

type Fields = Readonly<Record<string, string | number | undefined>>;

export interface WorkContext {
  /** A UUID that identifies the work; the request ids of its calls are made from it. */
  readonly id: string;
  /** Each log line that the work writes has these fields. */
  readonly fields: Fields;
}

const storage = new AsyncLocalStorage<{ current: WorkContext }>();

/** Runs `work`, and everything that it calls, in this context. */
export function withContext<T>(context: WorkContext, work: () => T): T {
  return storage.run({ current: context }, work);
}

/** Adds fields to the context of the caller, if there is one. */
export function addToContext(fields: Fields): void {
  const cell = storage.getStore();
  if (cell === undefined) return;
  const { id, fields: before } = cell.current;
  cell.current = { id, fields: { ...before, ...fields } };
}

export function currentContext(): WorkContext | undefined {
  return storage.getStore()?.current;
}
