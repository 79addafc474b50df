/** JSON from programs, pods and objects of the cluster. Guarantees: text is bounded before it is parsed, and no error is thrown. */
import type * as z from 'zod';

/** Undefined if the text is too long, is not JSON, or has another form. */
export function parseBounded<T>(schema: z.ZodType<T>, text: string | undefined, maxLength: number): T | undefined {
  if (text === undefined || text.length > maxLength) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
