/**
 * Lists of a peer in a schema. A schema visits every element, and keeps an issue for every wrong one: lists are cut before it
 * sees them.
 */
import * as z from 'zod';

/** An array of `schema`, of which no more than the first `most` elements are looked at. */
export function boundedList<T extends z.ZodType>(schema: T, most: number) {
  return z.preprocess((list) => (Array.isArray(list) ? list.slice(0, most) : list), z.array(schema));
}
