/**
 * Bounds on JSON that a peer controls, checked on the text, before anything is built from it. A parser and a schema need up to
 * hundreds of bytes of memory for one byte of text.
 *
 * Guarantees: the text is read once, without recursion; the memory needed does not depend on the text; a text within the bounds has at most
 * `values` elements and members, `depth` levels and `text` characters in each string, whatever else is wrong with it.
 */
export interface JsonBounds {
  /** Elements of arrays and members of objects, at all levels together. */
  values: number;
  depth: number;
  /** UTF-16 units of one string, as it is written. */
  text: number;
}

/** Levels. Far more than any response that this program reads, except one that it has written itself. */
export const deepest = 32;
/** Glance keeps the value of a property in a column of 65 535 bytes, and an escape takes six characters. */
const longestText = 400_000;

export function jsonBounds(values: number): JsonBounds {
  return { values, depth: deepest, text: longestText };
}

export type JsonExcess = { [K in keyof JsonBounds]: { bound: K; most: number } }[keyof JsonBounds];

/** The first bound that the text exceeds; undefined if it is within all of them. */
export function excessOf(text: string, bounds: JsonBounds): JsonExcess | undefined {
  let values = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: {
        const end = endOfString(text, at + 1);
        if (end - at - 1 > bounds.text) return { bound: 'text', most: bounds.text };
        at = end;
        break;
      }
      case 0x5b:
      case 0x7b:
        depth++;
        values++;
        if (depth > bounds.depth) return { bound: 'depth', most: bounds.depth };
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
      case 0x2c:
        values++;
        break;
    }
    if (values > bounds.values) return { bound: 'values', most: bounds.values };
  }
  return undefined;
}

/** Index of the quote that ends the string, or the length of a text that is cut off. */
function endOfString(text: string, from: number): number {
  for (let at = from; ; at++) {
    at = text.indexOf('"', at);
    if (at === -1) return text.length;
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === 0x5c && at - 1 - escapes >= from) escapes++;
    if (escapes % 2 === 0) return at;
  }
}

/** For messages: `holds more than 5000 values, its limit`. */
export function describeExcess({ bound, most }: JsonExcess): string {
  switch (bound) {
    case 'values':
      return `holds more than ${most} values, which is the limit`;
    case 'depth':
      return `is nested more than ${most} levels deep, which is the limit`;
    case 'text':
      return `holds a string of more than ${most} characters, which is the limit`;
  }
}
