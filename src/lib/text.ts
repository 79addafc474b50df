/** Text of others, made fit to be shown. Invariant: the result is well-formed Unicode on one line, without control or format characters. */

/**
 * At most `most` code points of `text`, on one line. Control and format characters (escape sequences, NUL, text direction)
 * and lone surrogates become blanks; a cut is marked with `…`.
 */
export function printable(text: string, most: number): string {
  // Each code point has at most two units, and runs of blanks shrink, so text far beyond the cut does not matter.
  const head = text.slice(0, 8 * most);
  const line = head
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFE\uFFFF]/gu, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const points = [...line];
  const isCut = points.length > most || head.length < text.length;
  return isCut ? `${points.slice(0, most).join('')}…` : line;
}
