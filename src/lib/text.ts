/** Text of others, made fit to be shown. Invariant: the result is well-formed Unicode on one line, without control or format characters. */

/** Control and format characters (escape sequences, NUL, text direction), line breaks of Unicode and lone surrogates. */
const hidden = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFE\uFFFF]/gu;
const hiddenInLine = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFE\uFFFF]/gu;

/** Whether `text` has no such character, line feeds apart. */
export function isPlain(text: string): boolean {
  return text.search(hiddenInLine) === -1;
}

/** Such characters as blanks, and line feeds as they are. */
export function printableLines(text: string): string {
  return text.replace(hiddenInLine, ' ');
}

/** JSON, or YAML that has such characters in double quotes only: with escapes for them. */
export function escapedText(text: string, form: 'json' | 'yaml'): string {
  return text.replace(hiddenInLine, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (form === 'yaml' && code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}

/**
 * At most `most` code points of `text`, on one line. Control and format characters (escape sequences, NUL, text direction)
 * and lone surrogates become blanks; a cut is marked with `…`.
 */
export function printable(text: string, most: number): string {
  // Each code point has at most two units, and runs of blanks shrink, so text far beyond the cut does not matter.
  const head = text.slice(0, 8 * most);
  const line = head.replace(hidden, ' ').replace(/\s+/g, ' ').trim();
  const points = [...line];
  const isCut = points.length > most || head.length < text.length;
  return isCut ? `${points.slice(0, most).join('')}…` : line;
}

/** `text` as one argument of a command for a shell of POSIX. Others chose it, and people copy commands out of messages. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text with a wrong encoding is returned as it is. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
