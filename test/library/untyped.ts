/** Any value in the place of a parameter, as a program without types passes it. */
export function untyped<T>(value: unknown): T;
export function untyped(value: unknown): unknown {
  return value;
}
