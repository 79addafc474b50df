/** A copy without the keys that have no value: JSON has no `undefined`, so only such an object equals what a server gives back. */
export function compact<T extends object>(object: T): T {
  const copy = { ...object };
  for (const [key, value] of Object.entries(copy)) if (value === undefined) Reflect.deleteProperty(copy, key);
  return copy;
}
